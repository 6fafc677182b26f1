import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import {
  type Clock,
  type Deadline,
  errorCode,
  type Log,
  type MachineId,
  pollUntil,
  type Random,
  startDeadline,
  systemClock,
  systemRandom,
} from '#base'
import { isAlive, type ProcessIdentity, signalProcess } from '#supervise'
import { Cgroup } from '../cgroup/cgroup.ts'
import { endGuest } from '../end-guest.ts'
import { GuestError } from '../errors.ts'
import { GuestFolder, type GuestRecord } from '../guest-folder.ts'
import type { GuestSpec } from '../guest-spec.ts'
import { listGuests, stateOf, suspendedRecord } from '../guest-state.ts'
import { burstOf } from '../quota.ts'
import type { Guest, GuestListing, Runtime, RuntimeCall } from '../runtime.ts'
import { TemplateCache } from '../template/template-cache.ts'
import { type BootFiles, findBootFiles } from './boot-files.ts'
import { type Accelerator, AGENT_PORT, checkSpec, tscKiloHertz } from './command-line.ts'
import { freshen } from './fresh-machine.ts'
import { lastLines, readConsole } from './guest-console.ts'
import { ensureJailRoot, type JailRoot } from './jail-root.ts'
import { agentPath, incomingDescriptor, lastWords, launch, qmpPath } from './launch.ts'
import { isShutdown, readStatus } from './machine-end.ts'
import { QemuGuest, STATE_FILE } from './qemu-guest.ts'
import { QmpClient } from './qmp-client.ts'
import type { QmpEvent } from './qmp-session.ts'
import { loadState, saveState } from './saved-state.ts'
import { templateKey } from './template-key.ts'

export interface QemuOptions {
  /** A folder for each guest; short, because sockets lie in it. */
  readonly stateDir: string
  /** For what all guests share; it may be lost at any time. */
  readonly cacheDir: string
  /** `kvm` only where a guest has booted with it: `/dev/kvm` alone proves nothing. @default tcg */
  readonly accelerator?: Accelerator
  /** @default the small kernel where it was built (`npm run kernel`), else Debian's */
  readonly kernelPath?: string
  readonly initramfsPath?: string
  /** Of saved machines from which others start; 0: every machine boots. @default 2 GiB */
  readonly templateBytesMax?: number
  /** Where a template that cannot be made or used is told of. */
  readonly log?: Log
  readonly clock?: Clock
  readonly random?: Random
}

/** How many guests were started in which way. */
export interface StartCounts {
  readonly cold: number
  readonly template: number
}

const BOOT_MS = 90_000
const END_MS = 10_000
/** An emulated machine beside others that are busy answers late. */
const ADOPT_MS = 60_000
/** Of QEMU itself, its translated code and its threads, beside the machine's RAM. */
const OVERHEAD_MIB = 256
const THREADS_MAX = 128
const TEMPLATE_BYTES_MAX = 2 * 2 ** 30

/** What a QEMU is talked to with. */
interface Started {
  readonly record: GuestRecord
  readonly qmp: QmpClient
  readonly channel: Socket
}

/**
 * Machines in QEMU's `microvm`, with KVM where it works and emulated elsewhere. A suspended guest is a file:
 * it holds no memory.
 */
export class QemuRuntime implements Runtime {
  readonly kind = 'qemu'
  readonly #options: QemuOptions
  readonly #host: { readonly accelerator: Accelerator; readonly tscKhz: number | undefined }
  readonly #source: { readonly clock: Clock; readonly random: Random }
  readonly #templates: TemplateCache | undefined
  readonly #starts = { cold: 0, template: 0 }
  #root: Promise<JailRoot> | undefined

  constructor(options: QemuOptions) {
    const { accelerator = 'tcg', templateBytesMax: bytesMax = TEMPLATE_BYTES_MAX } = options
    const { clock = systemClock, random = systemRandom } = options
    this.#options = options
    this.#host = { accelerator, tscKhz: tscKiloHertz(readFileSync('/proc/cpuinfo', 'utf8')) }
    this.#source = { clock, random }
    const folder = join(options.cacheDir, 'templates')
    this.#templates = bytesMax > 0 ? new TemplateCache({ folder, bytesMax, random }) : undefined
  }

  get starts(): StartCounts {
    return { ...this.#starts }
  }

  async boot(spec: GuestSpec, call: RuntimeCall = {}): Promise<Guest> {
    const { kernelPath, memoryMinMib } = this.#bootFiles()
    checkSpec(spec)
    checkMemory(spec, { kernelPath, memoryMinMib })
    using deadline = startDeadline('the boot of a machine', call.deadlineMs ?? BOOT_MS, call)
    const folder = this.#folder(spec.id)
    const record: GuestRecord = { kind: 'qemu', spec, phase: 'booting' }
    folder.create(record)
    try {
      const key = templateKey(spec, await this.#ensureRoot(), this.#host)
      const guest = await this.#bootFromTemplate(key, folder, record, deadline)
      return guest ?? (await this.#bootCold(key, folder, record, deadline))
    } catch (cause) {
      await this.remove(spec.id)
      if (cause instanceof GuestError || call.signal?.aborted) throw cause
      throw new GuestError('guest.boot_failed', {
        what: 'the machine did not come up',
        values: { machine: spec.id },
        cause,
      })
    }
  }

  async adopt(id: MachineId, call: RuntimeCall = {}): Promise<Guest | undefined> {
    const folder = this.#folder(id)
    const record = folder.read()
    if (record === undefined || stateOf(record) !== 'running') return undefined
    using deadline = startDeadline('the adoption', call.deadlineMs ?? ADOPT_MS, call)
    const qmp = new QmpClient(qmpPath(folder))
    try {
      if (await goOn(qmp, deadline)) return new QemuGuest(folder, record, qmp)
      if (record.process !== undefined) await endProcess(record.process, deadline)
      qmp[Symbol.dispose]()
      return undefined
    } catch (error) {
      qmp[Symbol.dispose]()
      if (errorCode(error) === 'guest.qmp_lost') return undefined // it ended just now
      throw error
    }
  }

  async resume(id: MachineId, call: RuntimeCall = {}): Promise<Guest> {
    const folder = this.#folder(id)
    const record = suspendedRecord(folder, stateOf(folder.read()))
    using deadline = startDeadline('the resumption', call.deadlineMs ?? BOOT_MS, call)
    try {
      await new Cgroup(id).killAll({ signal: deadline.signal }) // of a suspension or resumption cut short
      return await this.#continue(folder, record, deadline)
    } catch (cause) {
      await new Cgroup(id).killAll()
      if (call.signal?.aborted) throw cause
      throw new GuestError('guest.resume_failed', {
        what: 'the machine could not be continued',
        values: { machine: id, said: lastWords(folder) },
        fix: 'remove it and boot it anew',
        cause,
      })
    }
  }

  async list(): Promise<GuestListing[]> {
    return listGuests(this.#options.stateDir)
  }

  async remove(id: MachineId, call: RuntimeCall = {}): Promise<void> {
    const folder = this.#folder(id)
    await endGuest(folder, call)
    folder.remove()
  }

  #folder(id: MachineId): GuestFolder {
    return new GuestFolder(this.#options.stateDir, id)
  }

  #bootFiles(): BootFiles {
    const { kernelPath, initramfsPath } = this.#options
    return findBootFiles({ kernelPath, initramfsPath })
  }

  /** Once for the life of the runtime, and again after it failed. */
  async #ensureRoot(): Promise<JailRoot> {
    this.#root ??= ensureJailRoot(this.#options.cacheDir, this.#bootFiles())
    try {
      return await this.#root
    } catch (error) {
      this.#root = undefined
      throw error
    }
  }

  /** A QEMU that takes commands soon: with a machine that boots, or for a saved one. */
  async #start(
    folder: GuestFolder,
    record: GuestRecord,
    { signal }: Deadline,
    incoming?: number,
  ): Promise<Started> {
    const { spec } = record
    const root = await this.#ensureRoot()
    const cgroup = new Cgroup(spec.id)
    cgroup.create({
      memoryBytes: (spec.memoryMib + OVERHEAD_MIB) * 2 ** 20,
      pidsMax: THREADS_MAX + spec.cpu.count,
      cpu: burstOf(spec.cpu),
    })
    const onStarted = (launcher: ProcessIdentity) => folder.write({ ...record, process: launcher })
    const plan = { folder, spec, root, cgroup, ...this.#host, incoming }
    const process = await launch({ ...plan, onStarted }, { signal })
    folder.write({ ...record, process })
    const qmp = new QmpClient(qmpPath(folder))
    const channel = connect(agentPath(folder))
    channel.on('error', () => undefined) // whoever uses it hears it, and QEMU's end is told elsewhere
    return { record: { ...record, phase: 'running', process }, qmp, channel }
  }

  async #bootCold(key: string, folder: GuestFolder, record: GuestRecord, deadline: Deadline) {
    const started = await this.#start(folder, record, deadline)
    const { qmp, channel } = started
    try {
      await waitForInit(qmp, deadline)
      await this.#keepAsTemplate(key, folder, started, deadline)
      folder.write(started.record)
      this.#starts.cold += 1
      return new QemuGuest(folder, started.record, qmp, channel)
    } catch (cause) {
      const said = await wordsOf(folder, started)
      if (errorCode(cause) === 'guest.spec_bad') throw cause
      throw new GuestError('guest.boot_failed', {
        what: 'the machine did not come up',
        values: { machine: folder.id, said },
        cause,
      })
    }
  }

  /** The first of its kind is saved while it waits for its configuration: nothing in it is its own yet. */
  async #keepAsTemplate(
    key: string,
    folder: GuestFolder,
    { qmp, channel }: Started,
    deadline: Deadline,
  ) {
    const templates = this.#templates
    if (templates === undefined) return
    const call = { signal: deadline.signal }
    try {
      const wasMade = await templates.add(key, (path) => saveState(qmp, folder, path, call))
      if (!wasMade) return
    } catch (error) {
      deadline.signal.throwIfAborted()
      this.#options.log?.warn({ machine: folder.id, error }, 'no template could be made')
    }
    await qmp.ask('cont', undefined, call)
    await freshen(channel, this.#source, call)
  }

  /** @returns undefined when there is no template, or it was of no use: the machine must boot. */
  async #bootFromTemplate(
    key: string,
    folder: GuestFolder,
    record: GuestRecord,
    deadline: Deadline,
  ): Promise<Guest | undefined> {
    const descriptor = this.#templates?.open(key)
    if (descriptor === undefined) return undefined
    let started: Started | undefined
    try {
      started = await this.#start(folder, record, deadline, descriptor)
      const { qmp, channel } = started
      await loadState(qmp, incomingDescriptor(record.spec), { signal: deadline.signal })
      await qmp.ask('cont', undefined, { signal: deadline.signal })
      await freshen(channel, this.#source, { signal: deadline.signal })
      folder.write(started.record)
      this.#starts.template += 1
      return new QemuGuest(folder, started.record, qmp, channel)
    } catch (error) {
      started?.qmp[Symbol.dispose]()
      started?.channel.destroy()
      deadline.signal.throwIfAborted()
      if (errorCode(error) === 'guest.spec_bad') throw error
      const said = lastWords(folder)
      this.#options.log?.warn({ machine: folder.id, said, error }, 'a template was of no use')
      this.#templates?.remove(key)
      await new Cgroup(folder.id).killAll({ signal: deadline.signal })
      return undefined
    } finally {
      closeSync(descriptor)
    }
  }

  async #continue(folder: GuestFolder, record: GuestRecord, deadline: Deadline): Promise<Guest> {
    const { signal } = deadline
    const path = folder.file(STATE_FILE)
    const descriptor = openSync(path, 'r')
    let started: Started
    try {
      started = await this.#start(folder, record, deadline, descriptor)
    } finally {
      closeSync(descriptor)
    }
    const { qmp, channel } = started
    try {
      await loadState(qmp, incomingDescriptor(record.spec), { signal })
      folder.write(started.record) // before it runs: what ran on must never be continued again
      await qmp.ask('cont', undefined, { signal })
      rmSync(path)
      return new QemuGuest(folder, started.record, qmp, channel)
    } catch (error) {
      qmp[Symbol.dispose]()
      channel.destroy()
      throw error
    }
  }
}

/** Before anything is made: a kernel without room panics in words that name no memory. */
function checkMemory(
  { id, memoryMib }: GuestSpec,
  { kernelPath, memoryMinMib }: Pick<BootFiles, 'kernelPath' | 'memoryMinMib'>,
): void {
  if (memoryMib >= memoryMinMib) return
  throw new GuestError('guest.spec_bad', {
    what: `the machine has less memory than its kernel needs, ${memoryMinMib} MiB`,
    values: { machine: id, memoryMib, memoryMinMib, kernel: kernelPath },
    fix: `give it ${memoryMinMib} MiB or more; the small kernel (npm run kernel) needs less than Debian's`,
  })
}

/** Init has opened its port: it waits for its configuration. */
async function waitForInit(qmp: QmpClient, deadline: Deadline): Promise<void> {
  const event = await qmp.waitFor((one) => isShutdown(one) || isPortOpen(one), deadline)
  if (isPortOpen(event)) return
  throw new GuestError('guest.boot_failed', { what: 'the machine ended while it booted' })
}

const isPortOpen = ({ name, data }: QmpEvent) =>
  name === 'VSERPORT_CHANGE' && data['id'] === AGENT_PORT && data['open'] === true

/** What a machine that did not come up has said; lets go of it. */
async function wordsOf(folder: GuestFolder, { qmp, channel }: Started): Promise<string> {
  try {
    const console = await readConsole(qmp, { deadlineMs: 1_000 }).catch(() => '')
    return [lastWords(folder), lastLines(console)].filter(Boolean).join('\n')
  } finally {
    qmp[Symbol.dispose]()
    channel.destroy()
  }
}

/**
 * A machine whose manager went may stand still: in the midst of a suspension, or because it is off.
 * @returns false when it is off.
 */
async function goOn(qmp: QmpClient, { signal }: Deadline): Promise<boolean> {
  const status = await readStatus(qmp, { signal })
  if (status === 'running') return true
  if (status === 'shutdown' || status === 'guest-panicked') return false
  await qmp.ask('migrate_cancel', undefined, { signal })
  await qmp.ask('cont', undefined, { signal })
  return true
}

async function endProcess(process: ProcessIdentity, { signal }: Deadline): Promise<void> {
  signalProcess(process, 'SIGKILL')
  await pollUntil('QEMU to end', () => !isAlive(process), { deadlineMs: END_MS, signal })
}
