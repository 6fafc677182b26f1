import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { MachineId } from '#base'
import { identify, isAlive, signalPid, signalProcess } from '#supervise'
import { Cgroup } from '../cgroup/cgroup.ts'
import { endGuest } from '../end-guest.ts'
import { GuestError } from '../errors.ts'
import { GuestFolder, type GuestRecord } from '../guest-folder.ts'
import type { GuestSpec } from '../guest-spec.ts'
import { checkDisks, listGuests, suspendedRecord } from '../guest-state.ts'
import { findInit } from '../init-program.ts'
import type { Guest, GuestListing, GuestState, Runtime, RuntimeCall } from '../runtime.ts'
import { containerSpec } from './container-spec.ts'
import { CONFIG_PATH, launch, type MountedDisk } from './launch.ts'
import { RuncGuest } from './runc-guest.ts'

export interface RuncOptions {
  /** A folder for each guest; short, because sockets lie in it. */
  readonly stateDir: string
  /** @default what `npm run setup` built */
  readonly initPath?: string
}

const BUNDLE = 'bundle'

/**
 * Machines as containers, for hosts without KVM: the same image, init and agent, but the host's kernel.
 * A suspended guest stands still where it is and keeps its memory.
 */
export class RuncRuntime implements Runtime {
  readonly kind = 'runc'
  readonly #stateDir: string
  readonly #initPath: string

  /** @throws GuestError guest.host_unable */
  constructor({ stateDir, initPath = findInit() }: RuncOptions) {
    this.#stateDir = stateDir
    this.#initPath = initPath
  }

  async boot(spec: GuestSpec, call: RuntimeCall = {}): Promise<Guest> {
    const folder = this.#folder(spec.id)
    const record: GuestRecord = { kind: 'runc', spec, phase: 'booting' }
    folder.create(record)
    try {
      await this.#launch(folder, record, call)
      return new RuncGuest(folder, await becomeRunning(folder, record))
    } catch (error) {
      await this.remove(spec.id)
      throw error
    }
  }

  async adopt(id: MachineId): Promise<Guest | undefined> {
    const folder = this.#folder(id)
    const record = folder.read()
    return stateOf(folder, record) === 'running' && record !== undefined
      ? new RuncGuest(folder, record)
      : undefined
  }

  async resume(id: MachineId): Promise<Guest> {
    const folder = this.#folder(id)
    const record = suspendedRecord(folder, stateOf(folder, folder.read()))
    new Cgroup(id).thaw()
    return new RuncGuest(folder, record)
  }

  async list(): Promise<GuestListing[]> {
    return listGuests(this.#stateDir, (folder) => stateOf(folder, folder.read()))
  }

  async remove(id: MachineId, call: RuntimeCall = {}): Promise<void> {
    const folder = this.#folder(id)
    await endGuest(folder, call, (holder, { phase }) => {
      if (phase === 'booting') signalPid(-holder.pid, 'SIGKILL')
      else signalProcess(holder, 'SIGKILL')
    })
    folder.remove()
  }

  #folder(id: MachineId): GuestFolder {
    return new GuestFolder(this.#stateDir, id)
  }

  async #launch(folder: GuestFolder, record: GuestRecord, call: RuntimeCall): Promise<void> {
    const { spec } = record
    const bundle = folder.file(BUNDLE)
    const disks = disksOf(spec, bundle)
    for (const { at } of disks) mkdirSync(at, { recursive: true })
    const container = containerSpec({
      spec,
      initPath: this.#initPath,
      rootPath: join(bundle, 'rootfs'),
      cgroupPath: new Cgroup(spec.id).path,
      volumes: disks.flatMap(({ mount, at }) =>
        mount === undefined ? [] : [{ source: at, path: mount.path }],
      ),
    })
    symlinkSync(CONFIG_PATH, join(bundle, 'config.json'))
    const logPath = folder.file('runc.log')
    const global = ['--root', folder.file('runc'), '--log', logPath]
    const run = ['run', '--detach', '--preserve-fds', '2', '--no-new-keyring']
    await launch(
      {
        ...{ folder, disks, cwd: bundle, logPaths: [logPath] },
        config: JSON.stringify(container),
        socketPath: folder.file('agent.sock'),
        lastWordsPath: folder.file('last-words'),
        command: ['runc', ...global, ...run, '--pid-file', folder.file('pid'), spec.id],
        onStarted: (launcher) => folder.write({ ...record, process: launcher }),
      },
      call,
    )
  }
}

/** The first is the root file system. */
function disksOf(spec: GuestSpec, bundle: string): MountedDisk[] {
  const volumes = (spec.disks ?? []).flatMap((disk, index) =>
    disk.mount === undefined
      ? []
      : [{ disk, mount: disk.mount, at: join(bundle, `volume-${index}`) }],
  )
  checkDisks(spec.id, [spec.rootfs, ...volumes.map(({ disk }) => disk)])
  return [{ disk: spec.rootfs, at: join(bundle, 'rootfs') }, ...volumes]
}

async function becomeRunning(folder: GuestFolder, record: GuestRecord): Promise<GuestRecord> {
  const process = identify(Number(readFileSync(folder.file('pid'), 'utf8')))
  if (process === undefined) {
    throw new GuestError('guest.boot_failed', {
      what: 'the container ended at once',
      values: { machine: folder.id },
    })
  }
  const running: GuestRecord = { ...record, phase: 'running', process }
  folder.write(running)
  return running
}

function stateOf(folder: GuestFolder, record: GuestRecord | undefined): GuestState {
  if (record?.phase !== 'running' || record.process === undefined) return 'ended'
  if (!isAlive(record.process)) return 'ended'
  return new Cgroup(folder.id).isFrozen() ? 'suspended' : 'running'
}
