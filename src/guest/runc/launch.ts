/**
 * Starts a container in a mount namespace of its own: disks are mounted there and nowhere else, so
 * nothing of them is left on the host when the container ends, however it ends.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, statSync } from 'node:fs'
import { startDeadline } from '#base'
import { identify, type ProcessIdentity, signalPid } from '#supervise'
import { GuestError } from '../errors.ts'
import type { GuestFolder } from '../guest-folder.ts'
import type { DiskMount, GuestDisk } from '../guest-spec.ts'
import { listenAt } from '../listening-socket.ts'
import type { RuntimeCall } from '../runtime.ts'

const BOOT_MS = 30_000
const DETAIL_CHARS_MAX = 1_000

/**
 * Waits for a line before it begins: a launcher whose starter dies before it noted the launcher's pid
 * ends by itself. The command starts at once; it gets its configuration through a pipe, at CONFIG_PATH, and that only
 * when the disks are mounted: what it does before it reads, it does meanwhile. Where a mount fails it reads an end.
 * Arguments: the configuration; type, options, owner, device, folder of each disk; `--`; the command.
 */
const SCRIPT = `
read -r go || exit 1
config=$1
shift
{
  while [ "$1" != -- ]; do
    mount -t "$1" -o "$2" -- "$4" "$5" || exit 1
    [ -z "$3" ] || chown "$3" "$5" || exit 1
    shift 5
  done
  printf %s "$config"
} | {
  while [ "$1" != -- ]; do shift 5; done
  shift
  exec "$@" 5<&0 </dev/null >/dev/null 2>&1
}
`

/** Behind those that the container keeps. Where the command finds its configuration. */
export const CONFIG_PATH = '/proc/self/fd/5'

export interface MountedDisk {
  readonly disk: GuestDisk
  readonly mount?: DiskMount
  /** Of the host. */
  readonly at: string
}

export interface LaunchPlan {
  readonly folder: GuestFolder
  readonly disks: readonly MountedDisk[]
  readonly command: readonly string[]
  /** What the command reads at CONFIG_PATH. At most 128 KiB: the kernel's limit for a word. */
  readonly config: string
  readonly cwd: string
  readonly socketPath: string
  readonly lastWordsPath: string
  /** What is said when it fails. */
  readonly logPaths: readonly string[]
  /** Called before it does anything. */
  readonly onStarted: (launcher: ProcessIdentity) => void
}

/** @throws GuestError guest.boot_failed; BaseError base.deadline_exceeded */
export async function launch(plan: LaunchPlan, call: RuntimeCall): Promise<void> {
  using deadline = startDeadline('the start of a container', call.deadlineMs ?? BOOT_MS, call)
  deadline.signal.throwIfAborted()
  const child = start(plan)
  const exit = once(child, 'exit') as Promise<[number | null]>
  const onAbort = () => void signalPid(-(child.pid ?? 0), 'SIGKILL')
  try {
    await once(child, 'spawn')
    const launcher = identify(child.pid ?? 0)
    if (launcher !== undefined) plan.onStarted(launcher)
    deadline.signal.addEventListener('abort', onAbort, { once: true })
    child.stdin?.on('error', () => undefined) // it ended: its exit code tells
    child.stdin?.end('go\n')
    const [code] = await exit
    deadline.signal.throwIfAborted()
    if (code !== 0) throw failed(plan, code)
  } finally {
    deadline.signal.removeEventListener('abort', onAbort)
  }
}

function start({ folder, disks, command, config, cwd, ...plan }: LaunchPlan): ChildProcess {
  const words = disks.flatMap(({ disk, mount, at }) => mountWords(disk, mount, at))
  const log = openSync(folder.file('launch.log'), 'a', 0o600)
  const lastWords = openSync(plan.lastWordsPath, 'a', 0o600)
  try {
    using socket = listenAt(plan.socketPath)
    const inNamespace = ['--mount', '--propagation', 'slave', '--', 'sh', '-c', SCRIPT, 'launch']
    return spawn('unshare', [...inNamespace, config, ...words, '--', ...command], {
      cwd,
      detached: true, // a process group of its own, to end it whole
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: ['pipe', log, log, socket.descriptor, lastWords],
    })
  } finally {
    closeSync(lastWords)
    closeSync(log)
  }
}

function mountWords(disk: GuestDisk, mount: DiskMount | undefined, at: string): string[] {
  const options = [
    ...['nodev', disk.readOnly ? 'ro' : 'rw'],
    ...(statSync(disk.path).isBlockDevice() ? [] : ['loop']),
  ]
  const owner = mount?.owner === undefined ? '' : `${mount.owner.uid}:${mount.owner.gid}`
  return [mount?.type ?? 'ext4', options.join(','), owner, disk.path, at]
}

function failed({ folder, logPaths }: LaunchPlan, code: number | null): GuestError {
  const said = [folder.file('launch.log'), ...logPaths].map(readIfThere).join('').trim()
  return new GuestError('guest.boot_failed', {
    what: 'the container could not be started',
    values: { machine: folder.id, exitCode: code, said: said.slice(-DETAIL_CHARS_MAX) },
  })
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it only adds to an error that is thrown anyway
  }
}
