import { renameSync, rmSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { errorCode, startDeadline } from '#base'
import { signalProcess } from '#supervise'
import { type Balloon, checkLimit, limitByBalloon, squeezeByBalloon } from '../balloon.ts'
import { Cgroup } from '../cgroup/cgroup.ts'
import { GuestError } from '../errors.ts'
import { setBandwidth } from '../guest-bandwidth.ts'
import type { GuestFolder, GuestRecord } from '../guest-folder.ts'
import type { GuestSpec } from '../guest-spec.ts'
import { ended } from '../guest-state.ts'
import { ProcessEnd } from '../process-end.ts'
import type { CpuBandwidth } from '../quota.ts'
import type { Guest, GuestEnd, GuestMemory, GuestUsage, RuntimeCall } from '../runtime.ts'
import { ApiClient } from './api-client.ts'
import { devicePathOf, resumePlan, suspendPlan } from './boot-plan.ts'
import type { Jail } from './jail.ts'
import { snapshotIn, snapshotInside, snapshotOf } from './vm-files.ts'
import { connectVsock } from './vsock.ts'

const CHANNEL_MS = 30_000
const KILL_MS = 10_000
/** A GiB of memory is written in seconds. */
const SUSPEND_MS = 120_000

/** A microVM that runs. Its record has its process. */
export class FirecrackerGuest implements Guest {
  readonly spec: GuestSpec
  readonly ended: Promise<GuestEnd>
  readonly #folder: GuestFolder
  readonly #record: GuestRecord
  readonly #jail: Jail
  readonly #cgroup: Cgroup
  readonly #end: ProcessEnd
  readonly #channels = new Set<Duplex>()

  constructor(folder: GuestFolder, record: GuestRecord, jail: Jail) {
    if (record.process === undefined) throw new TypeError('the guest has no process')
    this.spec = record.spec
    this.#folder = folder
    this.#record = record
    this.#jail = jail
    this.#cgroup = new Cgroup(folder.id)
    this.#end = new ProcessEnd(record.process)
    this.ended = this.#end.ended.then(() => this.#tellEnd())
  }

  deviceOf(serial: string): string {
    return devicePathOf(this.spec, serial)
  }

  async openChannel(call: RuntimeCall = {}): Promise<Duplex> {
    for (const channel of this.#channels) channel.destroy()
    const options = { deadlineMs: CHANNEL_MS, ...call }
    const channel = await connectVsock(this.#jail.vsock, undefined, options).catch((cause) => {
      throw errorCode(cause) === 'guest.vmm_gone' ? ended(this.spec, cause) : cause
    })
    this.#channels.add(channel)
    channel.on('close', () => {
      this.#channels.delete(channel)
      this.#end.expect()
    })
    return channel
  }

  async kill(call: RuntimeCall = {}): Promise<void> {
    using deadline = startDeadline('the end of the machine', call.deadlineMs ?? KILL_MS, call)
    this.#folder.write({ ...this.#record, isKilled: true })
    await this.#endProcess(deadline.signal)
  }

  /** From the snapshot on there are two of it: the record says which counts, then the process goes. */
  async suspend(call: RuntimeCall = {}): Promise<void> {
    using deadline = startDeadline('the snapshot of a machine', call.deadlineMs ?? SUSPEND_MS, call)
    const { signal } = deadline
    const made = snapshotIn(this.#jail)
    try {
      using api = new ApiClient(this.#jail.apiSocket)
      await api.sendAll(suspendPlan(snapshotInside), { deadlineMs: SUSPEND_MS, signal })
    } catch (cause) {
      for (const path of Object.values(made)) rmSync(path, { force: true })
      if (errorCode(cause) === 'guest.vmm_gone') throw ended(this.spec, cause)
      await this.unpause()
      throw new GuestError('guest.suspend_failed', {
        what: 'no snapshot could be made',
        values: { machine: this.spec.id },
        cause,
      })
    }
    const kept = snapshotOf(this.#folder)
    renameSync(made.memory, kept.memory)
    renameSync(made.state, kept.state)
    const { process: _process, ...rest } = this.#record
    this.#folder.write({ ...rest, phase: 'suspended' })
    await this.#endProcess(signal)
  }

  /** Lets it run when it stands still; one that runs is left alone. */
  async unpause(): Promise<void> {
    using api = new ApiClient(this.#jail.apiSocket)
    const seen = await api.send({ method: 'GET', path: '/' })
    if ((seen as { state?: string }).state === 'Paused') await api.sendAll(resumePlan)
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
  }

  /** @throws GuestError guest.ended */
  async #withBalloon<T>(work: (balloon: Balloon) => Promise<T>): Promise<T> {
    using api = new ApiClient(this.#jail.apiSocket)
    try {
      return await work(firecrackerBalloon(api))
    } catch (cause) {
      if (errorCode(cause) === 'guest.vmm_gone') throw ended(this.spec, cause)
      throw cause
    }
  }

  async #endProcess(signal: AbortSignal): Promise<void> {
    if (this.#record.process !== undefined) signalProcess(this.#record.process, 'SIGKILL')
    for (const channel of this.#channels) channel.destroy()
    this.#end.expect()
    await this.#end.within(signal)
  }

  /**
   * A guest that resets ends its process with 0, as does one whose kernel panicked: which it was, init's
   * answer to the shutdown has told before.
   */
  #tellEnd(): GuestEnd {
    const record = this.#folder.read() // none: it was removed
    if (record === undefined || record.isKilled) return { cause: 'killed', isOutOfMemory: false }
    if (record.phase === 'suspended') return { cause: 'suspended', isOutOfMemory: false }
    const isOutOfMemory = this.#cgroup.usage().outOfMemoryKills > 0
    if (!isOutOfMemory) return { cause: 'shutdown', isOutOfMemory }
    return { cause: 'crashed', detail: 'the host ended it for want of memory', isOutOfMemory }
  }
}

/** Source: Firecracker, docs/ballooning.md. */
const firecrackerBalloon = (api: ApiClient): Balloon => ({
  async size(call) {
    const seen = await api.send({ method: 'GET', path: '/balloon/statistics' }, call)
    return (seen as { actual_mib: number }).actual_mib
  },
  async aim(mib, call) {
    await api.send({ method: 'PATCH', path: '/balloon', body: { amount_mib: mib } }, call)
  },
})
