import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { MachineId } from '#base'
import { identify } from '#supervise'
import { Cgroup } from '../cgroup/cgroup.ts'
import { endGuest } from '../end-guest.ts'
import { GuestError } from '../errors.ts'
import { GuestFolder, type GuestRecord } from '../guest-folder.ts'
import type { GuestSpec } from '../guest-spec.ts'
import { checkDisks, listGuests, stateOf, suspendedRecord } from '../guest-state.ts'
import { burstOf } from '../quota.ts'
import type { Guest, GuestListing, Runtime, RuntimeCall } from '../runtime.ts'
import { userIdOf } from '../user-id.ts'
import { ApiClient } from './api-client.ts'
import { bootPlan, loadPlan } from './boot-plan.ts'
import { FirecrackerError } from './errors.ts'
import { FirecrackerGuest } from './firecracker-guest.ts'
import { inside, type Jail, jailerArguments, jailOf } from './jail.ts'
import { type JailFile, layOutJail, removeJail } from './jail-files.ts'
import {
  bootFilesOf,
  bootJailFiles,
  diskJailFiles,
  logOf,
  snapshotInside,
  snapshotJailFiles,
  snapshotOf,
} from './vm-files.ts'
import { startVmm } from './vmm-process.ts'

export interface FirecrackerOptions {
  /** A folder for each guest, and the jails; short, because sockets lie in it, and beside the disks. */
  readonly stateDir: string
  /** Linked statically: a jail holds a copy of it alone. */
  readonly firecrackerPath: string
  /** The jailer of the same version, and words before its own. */
  readonly jailer: readonly [string, ...string[]]
  readonly kernelPath: string
  /** With the guest's init and the modules that the kernel needs. */
  readonly initrdPath: string
}

const START_MS = 60_000
/** Beside the guest's RAM: the process's own. */
const VMM_BYTES = 128 << 20
const VMM_PROCESSES = 64
const JAILS = 'jails'

/**
 * Machines as Firecracker's microVMs, each in a jail, for hosts with KVM. A suspended guest is a snapshot in
 * its folder, and no process.
 */
export class FirecrackerRuntime implements Runtime {
  readonly kind = 'firecracker'
  readonly #options: FirecrackerOptions

  /** @throws GuestError guest.host_unable */
  constructor(options: FirecrackerOptions) {
    const { firecrackerPath, jailer, kernelPath, initrdPath } = options
    for (const path of [firecrackerPath, jailer[0], kernelPath, initrdPath]) {
      if (existsSync(path)) continue
      throw new GuestError('guest.host_unable', {
        what: 'a file that microVMs need is missing',
        values: { path },
        fix: 'npm run setup; godwit doctor',
      })
    }
    this.#options = options
  }

  async boot(spec: GuestSpec, call: RuntimeCall = {}): Promise<Guest> {
    checkDisks(spec.id, [spec.rootfs, ...(spec.disks ?? [])])
    this.#checkUser(spec.id)
    const folder = this.#folder(spec.id)
    const jail = this.#jail(spec.id)
    const record: GuestRecord = { kind: 'firecracker', spec, phase: 'booting' }
    folder.create(record)
    try {
      const { kernelPath, initrdPath } = this.#options
      const running = await this.#start(folder, record, bootJailFiles(kernelPath, initrdPath), call)
      using api = new ApiClient(jail.apiSocket)
      await api.sendAll(bootPlan(spec, bootFilesOf(spec)), call)
      folder.write({ ...running, phase: 'running' })
      return new FirecrackerGuest(folder, { ...running, phase: 'running' }, jail)
    } catch (error) {
      await this.remove(spec.id)
      throw asBootFailure(error, spec)
    }
  }

  async adopt(id: MachineId): Promise<Guest | undefined> {
    const folder = this.#folder(id)
    const record = folder.read()
    if (record === undefined || stateOf(record) !== 'running') return undefined
    const guest = new FirecrackerGuest(folder, record, this.#jail(id))
    await guest.unpause() // of a manager that died while it suspended
    return guest
  }

  /** A snapshot is spent by this: its disks change from now on. */
  async resume(id: MachineId, call: RuntimeCall = {}): Promise<Guest> {
    const folder = this.#folder(id)
    const record = suspendedRecord(folder, stateOf(folder.read()))
    const jail = this.#jail(id)
    const snapshot = snapshotOf(folder)
    try {
      const booting: GuestRecord = { ...record, phase: 'booting' }
      const running = await this.#start(folder, booting, snapshotJailFiles(snapshot), call)
      using api = new ApiClient(jail.apiSocket)
      await api.sendAll(loadPlan(record.spec, snapshotInside, inside.vsock), call)
      folder.write({ ...running, phase: 'running' })
      for (const path of Object.values(snapshot)) rmSync(path, { force: true })
      for (const path of Object.values(snapshotInside)) rmSync(join(jail.root, path)) // mapped by now
      return new FirecrackerGuest(folder, { ...running, phase: 'running' }, jail)
    } catch (cause) {
      await this.remove(id)
      call.signal?.throwIfAborted()
      throw new GuestError('guest.resume_failed', {
        what: 'the snapshot cannot be continued',
        values: { machine: id },
        fix: 'boot it anew; its disks are as after a power cut',
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
    await removeJail(this.#jail(id))
    folder.remove()
  }

  #folder(id: MachineId): GuestFolder {
    return new GuestFolder(this.#options.stateDir, id)
  }

  #jail(id: MachineId): Jail {
    const { stateDir, firecrackerPath } = this.#options
    return jailOf(id, { baseFolder: join(stateDir, JAILS), firecrackerPath })
  }

  /** Processes of one user may signal and trace each other, and jails share the host's pids. */
  #checkUser(id: MachineId): void {
    const uid = userIdOf(id)
    const other = GuestFolder.list(this.#options.stateDir).find((one) => userIdOf(one) === uid)
    if (other === undefined || other === id) return
    throw new GuestError('guest.spec_bad', {
      what: 'another machine of this host has the user id of this one',
      values: { machine: id, other, uid },
      fix: 'make the machine with another id: a case in millions',
    })
  }

  /** A process that answers, in a jail and control groups of its own, and noted in its record. */
  async #start(
    folder: GuestFolder,
    record: GuestRecord,
    files: readonly JailFile[],
    call: RuntimeCall,
  ): Promise<GuestRecord> {
    const { spec } = record
    const { firecrackerPath, jailer, stateDir } = this.#options
    const [uid, jail, cgroup] = [userIdOf(spec.id), this.#jail(spec.id), new Cgroup(spec.id)]
    const limits = {
      memoryBytes: spec.memoryMib * 2 ** 20 + VMM_BYTES,
      pidsMax: VMM_PROCESSES,
      cpu: burstOf(spec.cpu),
    }
    const baseFolder = join(stateDir, JAILS)
    mkdirSync(baseFolder, { recursive: true, mode: 0o700 })
    await layOutJail(jail, uid, [...files, ...diskJailFiles(spec)])
    cgroup.create(limits)
    const [command, ...before] = jailer
    const words = jailerArguments({
      ...{ id: spec.id, uid, baseFolder, firecrackerPath },
      ...(spec.network === undefined ? {} : { netnsPath: spec.network.netnsPath }),
      cgroup: {
        ...{ version: cgroup.version, parent: cgroup.parent },
        settings: cgroup.settings(limits),
      },
    })
    const started = await startVmm(
      {
        ...{ command, arguments: [...before, ...words] },
        ...{ apiSocket: jail.apiSocket, logPath: logOf(folder) },
        onStarted: (pid) => {
          const process = identify(pid)
          if (process !== undefined) folder.write({ ...record, process })
          cgroup.add(pid) // into those of which the jailer knows nothing, too
        },
      },
      { deadlineMs: START_MS, ...call },
    )
    const process = identify(started.pid)
    return process === undefined ? record : { ...record, process }
  }
}

function asBootFailure(cause: unknown, { id }: GuestSpec): unknown {
  if (!(cause instanceof FirecrackerError)) return cause
  return new GuestError('guest.boot_failed', {
    what: 'the microVM could not be started',
    values: { machine: id, said: cause.message },
    cause,
  })
}
