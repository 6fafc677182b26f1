import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { errorCode, startDeadline } from '#base'
import { signalProcess } from '#supervise'
import { checkLimit } from '../balloon.ts'
import { Cgroup } from '../cgroup/cgroup.ts'
import { CgroupMemory } from '../cgroup/cgroup-memory.ts'
import { untilConnected } from '../channel-socket.ts'
import { GuestError } from '../errors.ts'
import { setBandwidth } from '../guest-bandwidth.ts'
import type { GuestFolder, GuestRecord } from '../guest-folder.ts'
import type { GuestSpec } from '../guest-spec.ts'
import { ended } from '../guest-state.ts'
import { ProcessEnd } from '../process-end.ts'
import type { CpuBandwidth } from '../quota.ts'
import type { Guest, GuestEnd, GuestMemory, GuestUsage, RuntimeCall } from '../runtime.ts'

const KILL_MS = 10_000
const MIB = 2 ** 20

/** A container that runs. Its record has its process. */
export class RuncGuest implements Guest {
  readonly spec: GuestSpec
  readonly ended: Promise<GuestEnd>
  readonly #folder: GuestFolder
  readonly #record: GuestRecord
  readonly #cgroup: Cgroup
  readonly #end: ProcessEnd
  readonly #channels = new Set<Socket>()
  readonly #suspended = Promise.withResolvers<GuestEnd>()
  #isSuspended = false

  constructor(folder: GuestFolder, record: GuestRecord) {
    if (record.process === undefined) throw new TypeError('the guest has no process')
    this.spec = record.spec
    this.#folder = folder
    this.#record = record
    this.#cgroup = new Cgroup(folder.id)
    this.#end = new ProcessEnd(record.process)
    void this.#end.ended.then(() => this.#suspended.resolve(this.#tellEnd()))
    this.ended = this.#suspended.promise
  }

  async openChannel(call: RuntimeCall = {}): Promise<Duplex> {
    for (const channel of this.#channels) channel.destroy()
    const socket = connect(this.#folder.file('agent.sock'))
    this.#channels.add(socket)
    socket.on('close', () => {
      this.#channels.delete(socket)
      if (!this.#isSuspended) this.#end.expect()
    })
    await untilConnected(socket, this.spec, call)
    return socket
  }

  async kill(call: RuntimeCall = {}): Promise<void> {
    using deadline = startDeadline('the end of the machine', call.deadlineMs ?? KILL_MS, call)
    this.#folder.write({ ...this.#record, isKilled: true })
    if (this.#record.process !== undefined) signalProcess(this.#record.process, 'SIGKILL')
    this.#cgroup.thaw()
    await this.#cgroup.killAll({ signal: deadline.signal })
    this.#end.expect()
    await this.#end.within(deadline.signal)
  }

  async suspend(call: RuntimeCall = {}): Promise<void> {
    try {
      await this.#cgroup.freeze(call)
    } catch (cause) {
      this.#cgroup.thaw()
      if (errorCode(cause) === 'ENOENT') throw ended(this.spec, cause)
      throw new GuestError('guest.suspend_failed', {
        what: 'the container does not stand still',
        values: { machine: this.spec.id },
        cause,
      })
    }
    this.#isSuspended = true
    this[Symbol.dispose]()
    for (const channel of this.#channels) channel.destroy()
    this.#suspended.resolve({ cause: 'suspended', isOutOfMemory: false })
  }

  setBandwidth(bandwidth: CpuBandwidth): void {
    setBandwidth(this.spec, bandwidth)
  }

  async memory(): Promise<GuestMemory> {
    const memory = new CgroupMemory(this.#cgroup)
    const [limit, available] = await this.#orEnded(
      Promise.all([memory.limitBytes(), memory.availableBytes()]),
    )
    return { limitMib: toMib(limit), availableMib: toMib(available) }
  }

  async limitMemory(limitMib: number): Promise<number> {
    checkLimit(this.spec, limitMib)
    const memory = new CgroupMemory(this.#cgroup)
    if (await this.#orEnded(memory.setLimit(limitMib * MIB))) return limitMib
    throw new GuestError('guest.memory_held', {
      what: 'the container holds more memory than that',
      values: { machine: this.spec.id, limitMib },
    })
  }

  async reclaimMemory(amountMib: number): Promise<number> {
    const memory = new CgroupMemory(this.#cgroup)
    const before = await this.#orEnded(memory.usedBytes())
    await this.#orEnded(memory.reclaim(amountMib * MIB))
    return toMib(Math.max(0, before - (await this.#orEnded(memory.usedBytes()))))
  }

  /** Without its control group it is no more. @throws GuestError guest.ended */
  async #orEnded<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (cause) {
      if (['ENOENT', 'ENODEV'].includes(errorCode(cause) ?? '')) throw ended(this.spec, cause)
      throw cause
    }
  }

  async usage(): Promise<GuestUsage> {
    return this.#cgroup.usage()
  }

  [Symbol.dispose](): void {
    this.#end.release()
  }

  #tellEnd(): GuestEnd {
    const record = this.#folder.read() // none: it was removed
    if (record === undefined || record.isKilled) return { cause: 'killed', isOutOfMemory: false }
    if (this.#lastWords() !== '') return { cause: 'shutdown', isOutOfMemory: false }
    const isOutOfMemory = this.#cgroup.usage().outOfMemoryKills > 0
    return { cause: 'crashed', detail: 'init ended without a word', isOutOfMemory }
  }

  #lastWords(): string {
    try {
      return readFileSync(this.#folder.file('last-words'), 'utf8')
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return '' // the folder was removed meanwhile
      throw error
    }
  }
}

const toMib = (bytes: number) => Math.floor(bytes / MIB)
