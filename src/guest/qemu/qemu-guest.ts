import { renameSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { errorCode, startDeadline } from '#base'
import { signalProcess } from '#supervise'
import { type Balloon, checkLimit, limitByBalloon, squeezeByBalloon } from '../balloon.ts'
import { Cgroup } from '../cgroup/cgroup.ts'
import { untilConnected } from '../channel-socket.ts'
import { GuestError } from '../errors.ts'
import { setBandwidth } from '../guest-bandwidth.ts'
import type { GuestFolder, GuestRecord } from '../guest-folder.ts'
import type { GuestSpec } from '../guest-spec.ts'
import { ended } from '../guest-state.ts'
import { ProcessEnd } from '../process-end.ts'
import type { CpuBandwidth } from '../quota.ts'
import type { Guest, GuestEnd, GuestMemory, GuestUsage, RuntimeCall } from '../runtime.ts'
import { agentPath, lastWords } from './launch.ts'
import { isShutdown, readEnd } from './machine-end.ts'
import type { QmpClient } from './qmp-client.ts'
import { saveState } from './saved-state.ts'

const KILL_MS = 10_000
const MIB = 2 ** 20
const SUSPEND_MS = 120_000

export const STATE_FILE = 'machine.state'
export const DRAFT_FILE = 'machine.state.new'

/** A virtual machine that runs. Its record has its QEMU. */
export class QemuGuest implements Guest {
  readonly spec: GuestSpec
  readonly ended: Promise<GuestEnd>
  readonly #folder: GuestFolder
  readonly #record: GuestRecord
  readonly #qmp: QmpClient
  readonly #cgroup: Cgroup
  readonly #end: ProcessEnd
  readonly #settled = Promise.withResolvers<GuestEnd>()
  /** Known before QEMU is gone. */
  #told: GuestEnd | undefined
  #channel: Socket | undefined

  /** @param channel connected already; the first `openChannel` gives it. */
  constructor(folder: GuestFolder, record: GuestRecord, qmp: QmpClient, channel?: Socket) {
    if (record.process === undefined) throw new TypeError('the guest has no process')
    this.spec = record.spec
    this.#folder = folder
    this.#record = record
    this.#qmp = qmp
    this.#channel = channel
    this.#cgroup = new Cgroup(folder.id)
    this.#end = new ProcessEnd(record.process)
    this.ended = this.#settled.promise
    void this.#end.ended.then(() => this.#settled.resolve(this.#told ?? this.#tellEnd()))
    void qmp.lost.then(() => this.#end.expect())
    qmp.onEvent((event) => {
      if (isShutdown(event)) void this.#takeShutdown()
    })
  }

  async openChannel(call: RuntimeCall = {}): Promise<Duplex> {
    const ready = this.#channel
    if (ready !== undefined && !ready.destroyed && ready.listenerCount('data') === 0) return ready
    ready?.destroy()
    const socket = connect(agentPath(this.#folder))
    this.#channel = socket
    await untilConnected(socket, this.spec, call)
    return socket
  }

  async kill(call: RuntimeCall = {}): Promise<void> {
    using deadline = startDeadline('the end of the machine', call.deadlineMs ?? KILL_MS, call)
    this.#folder.write({ ...this.#record, isKilled: true })
    this.#killProcess()
    await this.#cgroup.killAll({ signal: deadline.signal })
    this.#end.expect()
    await this.#end.within(deadline.signal)
  }

  async suspend(call: RuntimeCall = {}): Promise<void> {
    using deadline = startDeadline('the suspension', call.deadlineMs ?? SUSPEND_MS, call)
    const draft = this.#folder.file(DRAFT_FILE)
    rmSync(draft, { force: true })
    try {
      await saveState(this.#qmp, this.#folder, draft, { signal: deadline.signal })
    } catch (cause) {
      rmSync(draft, { force: true })
      await this.#goOn(cause)
      throw new GuestError('guest.suspend_failed', {
        what: 'the machine could not be saved, and runs on',
        values: { machine: this.spec.id },
        cause,
      })
    }
    renameSync(draft, this.#folder.file(STATE_FILE))
    this.#folder.write({ ...this.#record, phase: 'suspended' })
    this.#told = { cause: 'suspended', isOutOfMemory: false }
    this.#killProcess()
    this.#end.expect()
    await this.#end.within(deadline.signal)
    this[Symbol.dispose]()
  }

  setBandwidth(bandwidth: CpuBandwidth): void {
    setBandwidth(this.spec, bandwidth)
  }

  async memory(call: RuntimeCall = {}): Promise<GuestMemory> {
    const size = await this.#withBalloon((balloon) => balloon.size(call))
    return { limitMib: this.spec.memoryMib - size, availableMib: undefined }
  }

  async limitMemory(limitMib: number, call: RuntimeCall = {}): Promise<number> {
    checkLimit(this.spec, limitMib)
    const limits = { bootMib: this.spec.memoryMib, limitMib }
    return await this.#withBalloon((balloon) => limitByBalloon(balloon, limits, call))
  }

  async reclaimMemory(amountMib: number, call: RuntimeCall = {}): Promise<number> {
    return await this.#withBalloon((balloon) => squeezeByBalloon(balloon, amountMib, call))
  }

  async usage(): Promise<GuestUsage> {
    return this.#cgroup.usage()
  }

  [Symbol.dispose](): void {
    this.#end.release()
    this.#qmp[Symbol.dispose]()
  }

  /** @throws GuestError guest.ended */
  async #withBalloon<T>(work: (balloon: Balloon) => Promise<T>): Promise<T> {
    try {
      return await work(qemuBalloon(this.#qmp, this.spec.memoryMib))
    } catch (cause) {
      if (errorCode(cause) === 'guest.qmp_lost') throw ended(this.spec, cause)
      throw cause
    }
  }

  #killProcess(): void {
    if (this.#record.process !== undefined) signalProcess(this.#record.process, 'SIGKILL')
  }

  /** After a suspension that failed. @throws GuestError guest.ended */
  async #goOn(cause: unknown): Promise<void> {
    try {
      await this.#qmp.ask('migrate_cancel')
      await this.#qmp.ask('cont')
    } catch (error) {
      if (errorCode(error) !== 'guest.qmp_lost') throw error
      throw ended(this.spec, cause)
    }
  }

  /** The machine is off; QEMU waits to be asked, and is of no use after. */
  async #takeShutdown(): Promise<void> {
    try {
      this.#told = await readEnd(this.#qmp)
    } catch (error) {
      this.#told = { cause: 'crashed', detail: String(error), isOutOfMemory: false }
    }
    this.#killProcess()
    this.#end.expect()
  }

  #tellEnd(): GuestEnd {
    const record = this.#folder.read() // none: it was removed
    if (record === undefined || record.isKilled) return { cause: 'killed', isOutOfMemory: false }
    const isOutOfMemory = this.#cgroup.usage().outOfMemoryKills > 0
    return { cause: 'crashed', detail: `QEMU ended: ${lastWords(this.#folder)}`, isOutOfMemory }
  }
}

/** QEMU tells what is left to the machine, in bytes. Source: QEMU, qapi/machine.json. */
const qemuBalloon = (qmp: QmpClient, memoryMib: number): Balloon => ({
  async size(call) {
    const { actual } = (await qmp.ask('query-balloon', undefined, call)) as { actual: number }
    return Math.ceil(memoryMib - actual / MIB)
  },
  async aim(mib, call) {
    await qmp.ask('balloon', { value: (memoryMib - mib) * MIB }, call)
  },
})
