/**
 * Where the jailer puts a guest, and how it is called. No I/O: names and limits only. The layout is
 * the jailer's: BASE/EXEC/ID/root is the guest's root, and its process sees nothing else.
 * Source: Firecracker, docs/jailer.md.
 */
import { basename, join } from 'node:path'
import type { MachineId } from '#base'
import type { CgroupSetting } from '../cgroup/cgroup.ts'
import { SOCKET_PATH_BYTES_MAX } from './api-schema.ts'
import { FirecrackerError } from './errors.ts'

export interface JailOptions {
  /** Must exist; 0700 and owned by root. */
  readonly baseFolder: string
  /** Linked statically: the jail holds a copy of it, without its libraries. */
  readonly firecrackerPath: string
}

/** Paths of the host; those in `inside` are the same files as the jailed process names them. */
export interface Jail {
  /** All that the jailer makes of a guest, save its control groups. */
  readonly folder: string
  readonly root: string
  /** Written by the jailer, without a newline. */
  readonly pidFile: string
  readonly apiSocket: string
  readonly vsock: string
}

export const inside = {
  apiSocket: '/run/api.sock',
  vsock: '/run/v.sock',
  kernel: '/kernel',
  initrd: '/initrd',
  state: '/snapshot.state',
  memory: '/snapshot.memory',
  serialLog: '/serial.log',
  drive: (index: number) => `/disk${index}`,
} as const

/**
 * @throws FirecrackerError guest.jail_bad when the sockets' paths would be longer than a unix socket's
 *   may be: a shorter base folder is needed.
 */
export function jailOf(id: MachineId, { baseFolder, firecrackerPath }: JailOptions): Jail {
  const execName = basename(firecrackerPath)
  const folder = join(baseFolder, execName, id)
  const root = join(folder, 'root')
  const apiSocket = join(root, inside.apiSocket)
  const pathBytes = Buffer.byteLength(apiSocket)
  if (pathBytes > SOCKET_PATH_BYTES_MAX) {
    throw new FirecrackerError('guest.jail_bad', {
      what: 'the path of the API socket is too long',
      values: { path: apiSocket, pathBytes, pathBytesMax: SOCKET_PATH_BYTES_MAX },
      fix: 'choose a shorter base folder',
    })
  }
  const pidFile = join(root, `${execName}.pid`)
  return { folder, root, pidFile, apiSocket, vsock: join(root, inside.vsock) }
}

const UID_MAX = 0xffff_fffe

export interface JailStart extends JailOptions {
  readonly id: MachineId
  readonly uid: number
  readonly netnsPath?: string
  readonly cgroup?: {
    readonly version: 1 | 2
    readonly parent: string
    readonly settings: readonly CgroupSetting[]
  }
  readonly filesMax?: number
}

/** Descriptors of one process; the jailer's own choice is the same. */
const FILES_MAX = 2048

/**
 * Arguments of the jailer. The pid stays that of the process that was spawned: no `--daemonize`, no
 * `--new-pid-ns`, after which the jailer ends with 0 even when Firecracker never began.
 *
 * @throws FirecrackerError guest.jail_bad
 */
export function jailerArguments(start: JailStart): readonly string[] {
  if (!Number.isSafeInteger(start.uid) || start.uid < 1 || start.uid > UID_MAX) {
    throw badJail('a guest must not run as root', { uid: start.uid })
  }
  const { cgroup, netnsPath } = start
  return [
    ...['--id', start.id, '--exec-file', start.firecrackerPath],
    ...['--uid', String(start.uid), '--gid', String(start.uid)],
    ...['--chroot-base-dir', start.baseFolder],
    ...(netnsPath === undefined ? [] : ['--netns', netnsPath]),
    ...(cgroup === undefined ? [] : cgroupArguments(cgroup)),
    ...['--resource-limit', `no-file=${start.filesMax ?? FILES_MAX}`],
    // What follows goes to Firecracker. Bodies of requests are logged at Info.
    ...['--', '--api-sock', inside.apiSocket, '--level', 'Warning'],
  ]
}

function cgroupArguments(cgroup: NonNullable<JailStart['cgroup']>): string[] {
  const { version, parent, settings } = cgroup
  const files = settings.map(({ file }) => file)
  if (version === 1 && files.includes('cpuset.cpus') && !files.includes('cpuset.mems')) {
    throw badJail('a cpuset of version 1 needs cpuset.mems as well', { files })
  }
  for (const { file, value } of settings) {
    if (!/^[a-z]+(\.[a-z_]+)+$/.test(file) || !/^[^\n]+$/.test(value)) {
      throw badJail('not a setting of a control group', { file, value })
    }
  }
  return [
    ...['--cgroup-version', String(version), '--parent-cgroup', parent],
    ...settings.flatMap(({ file, value }) => ['--cgroup', `${file}=${value}`]),
  ]
}

function badJail(what: string, values: Record<string, unknown>): FirecrackerError {
  return new FirecrackerError('guest.jail_bad', { what, values })
}
