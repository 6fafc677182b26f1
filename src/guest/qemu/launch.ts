/**
 * Starts QEMU for a guest: in the guest's control groups and network namespace, in mount, pid, ipc and uts
 * namespaces of its own, in a root that holds QEMU alone, as a user of its own without privileges. What it
 * may use of the host it inherits as descriptors.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, closeSync, fstatSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { errorCode, startDeadline } from '#base'
import { identify, type ProcessIdentity, signalPid } from '#supervise'
import type { Cgroup } from '../cgroup/cgroup.ts'
import { GuestError } from '../errors.ts'
import type { GuestFolder } from '../guest-folder.ts'
import type { GuestDisk, GuestSpec } from '../guest-spec.ts'
import { diskMissing } from '../guest-state.ts'
import { listenAt } from '../listening-socket.ts'
import type { RuntimeCall } from '../runtime.ts'
import { userIdOf } from '../user-id.ts'
import { type Accelerator, allDisks, commandLine } from './command-line.ts'
import type { JailRoot } from './jail-root.ts'

export interface LaunchPlan {
  readonly folder: GuestFolder
  readonly spec: GuestSpec
  readonly root: JailRoot
  readonly cgroup: Cgroup
  readonly accelerator: Accelerator
  readonly tscKhz: number | undefined
  /** A saved machine to continue: a descriptor to read it from. */
  readonly incoming?: number | undefined
  /** Called before it does anything. */
  readonly onStarted: (launcher: ProcessIdentity) => void
}

const LAUNCH_MS = 20_000
const SAID_CHARS_MAX = 1_000
const QMP_SOCKET = 'qmp.sock'
const AGENT_SOCKET = 'agent.sock'
export const RUN_FOLDER = 'run'
export const LOG_FILE = 'qemu.log'
/** Behind the three of every process. */
const FIRST_DESCRIPTOR = 3

export const qmpPath = (folder: GuestFolder): string => folder.file(QMP_SOCKET)
export const agentPath = (folder: GuestFolder): string => folder.file(AGENT_SOCKET)

/**
 * Waits for a line before it begins: a launcher whose starter dies before it noted the launcher's pid
 * ends by itself. Its first child is process 1 of the new pid namespace and becomes QEMU.
 * Devices are nodes of its own, for those of the host may be closed to its user.
 * Arguments: uid, root, run folder, devices (words NAME:MINOR); then the command.
 */
const SCRIPT = `
read -r go || exit 1
uid=$1 root=$2 run=$3 devices=$4
shift 4
ulimit -c 0
(
  mount --bind -- "$run" "$root/run" || exit 1
  if [ -n "$devices" ]; then
    mount -t tmpfs -o nosuid,noexec,size=64k,mode=755 dev "$root/dev" && mkdir "$root/dev/net" || exit 1
  fi
  for device in $devices; do
    mknod -m 666 "$root/dev/\${device%:*}" c 10 "\${device#*:}" || exit 1
  done
  exec setpriv --no-new-privs --inh-caps=-all \
    --bounding-set=-all,+sys_chroot,+setuid,+setgid \
    chroot --userspec="$uid:$uid" --groups= "$root" "$@" >&2
) </dev/null &
echo $!
`

/**
 * @returns QEMU, which may yet end for what it finds wrong: its sockets tell.
 * @throws GuestError guest.spec_bad, guest.boot_failed; BaseError base.deadline_exceeded.
 */
export async function launch(plan: LaunchPlan, call: RuntimeCall): Promise<ProcessIdentity> {
  using deadline = startDeadline('the start of QEMU', call.deadlineMs ?? LAUNCH_MS, call)
  deadline.signal.throwIfAborted()
  const child = start(plan)
  const onAbort = () => void signalPid(-(child.pid ?? 0), 'SIGKILL')
  try {
    await once(child, 'spawn')
    const launcher = identify(child.pid ?? 0)
    if (launcher !== undefined) {
      plan.cgroup.add(launcher.pid)
      plan.onStarted(launcher)
    }
    deadline.signal.addEventListener('abort', onAbort, { once: true })
    child.stdin?.on('error', () => undefined) // it ended: it said no pid
    child.stdin?.end('go\n')
    const pid = child.stdout === null ? '' : await text(child.stdout)
    deadline.signal.throwIfAborted()
    const process = identify(Number(pid.trim() || 0))
    if (pid.trim() === '' || process === undefined) throw endedAtOnce(plan)
    return process
  } catch (error) {
    onAbort()
    throw error
  } finally {
    deadline.signal.removeEventListener('abort', onAbort)
  }
}

function start(plan: LaunchPlan): ChildProcess {
  const { folder, spec, root, accelerator, tscKhz, incoming } = plan
  const uid = userIdOf(spec.id)
  const runFolder = prepareRunFolder(folder, uid)
  const opened: number[] = []
  const keep = (descriptor: number) => {
    opened.push(descriptor)
    return descriptor
  }
  try {
    const log = keep(openSync(folder.file(LOG_FILE), 'a', 0o600))
    const disks = allDisks(spec).map((disk) => keep(openDisk(spec, disk)))
    for (const path of [qmpPath(folder), agentPath(folder)]) rmSync(path, { force: true })
    using qmp = listenAt(qmpPath(folder))
    using agent = listenAt(agentPath(folder))
    const passed = [qmp.descriptor, agent.descriptor, ...disks]
    const words = commandLine({
      ...{ spec, accelerator, tscKhz, isIncoming: incoming !== undefined },
      descriptors: {
        qmp: FIRST_DESCRIPTOR,
        agent: FIRST_DESCRIPTOR + 1,
        disks: disks.map((_, index) => FIRST_DESCRIPTOR + 2 + index),
      },
      areDevices: disks.map((descriptor) => fstatSync(descriptor).isBlockDevice()),
    })
    const inNamespaces = ['--mount', '--propagation', 'slave', '--pid', '--ipc', '--uts']
    const [command = '', ...args] = [
      ...(spec.network ? ['nsenter', `--net=${spec.network.netnsPath}`, '--'] : []),
      ...['unshare', ...inNamespaces, ...(spec.network ? [] : ['--net']), '--'],
      ...['sh', '-c', SCRIPT, 'launch'],
      ...[String(uid), root.path, runFolder, devicesOf(plan).join(' '), ...words],
    ]
    return spawn(command, args, {
      cwd: folder.path,
      detached: true, // a process group of its own, to end it whole
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: ['pipe', 'pipe', log, ...passed, ...(incoming === undefined ? [] : [incoming])],
    })
  } finally {
    for (const descriptor of opened) closeSync(descriptor)
  }
}

/** The number under which QEMU knows the descriptor of a saved machine. */
export const incomingDescriptor = (spec: GuestSpec): number =>
  FIRST_DESCRIPTOR + 2 + allDisks(spec).length

/** Minor numbers of the misc devices, major 10. Source: the kernel's admin-guide/devices.txt. */
const devices = { tun: 'net/tun:200', kvm: 'kvm:232' } as const

function devicesOf({ spec, accelerator }: LaunchPlan): string[] {
  return [
    ...(spec.network === undefined ? [] : [devices.tun]),
    ...(accelerator === 'kvm' ? [devices.kvm] : []),
  ]
}

/** All that QEMU itself can write to besides its disks; it is empty but for a moment in a suspend. */
function prepareRunFolder(folder: GuestFolder, uid: number): string {
  const path = join(folder.path, RUN_FOLDER)
  mkdirSync(path, { recursive: true, mode: 0o700 })
  chownSync(path, uid, uid)
  return path
}

function openDisk({ id }: GuestSpec, { path, readOnly = false }: GuestDisk): number {
  try {
    return openSync(path, readOnly ? 'r' : 'r+')
  } catch (cause) {
    if (errorCode(cause) !== 'ENOENT') throw cause
    throw diskMissing(id, path)
  }
}

/** What QEMU and its launcher said last; empty for a folder that is gone. */
export function lastWords(folder: GuestFolder): string {
  try {
    return readFileSync(folder.file(LOG_FILE), 'utf8').trim().slice(-SAID_CHARS_MAX)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return ''
    throw error
  }
}

function endedAtOnce({ folder }: LaunchPlan): GuestError {
  return new GuestError('guest.boot_failed', {
    what: 'QEMU could not be started',
    values: { machine: folder.id, said: lastWords(folder) },
  })
}
