import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { errorCode, startDeadline } from '#base'
import { signalProcess } from '#supervise'
import { Cgroup } from '../cgroup/cgroup.ts'
import { untilConnected } from '../channel-socket.ts'
import { GuestError } from '../errors.ts'
import { setBandwidth } from '../guest-bandwidth.ts'
import type { GuestFolder, GuestRecord } from '../guest-folder.ts'
import type { GuestSpec } from '../guest-spec.ts'
import { ended } from '../guest-state.ts'
import { ProcessEnd } from '../process-end.ts'
import type { CpuBandwidth } from '../quota.ts'
import type { Guest, GuestEnd, GuestUsage, RuntimeCall } from '../runtime.ts'

const KILL_MS = 10_000

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
