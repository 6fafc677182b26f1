/**
 * The container that a guest is, as the OCI runtime specification says it. Pure.
 * Source: OCI runtime specification 1.0.2, config.md and config-linux.md.
 */

import type { GuestSpec } from '../guest-spec.ts'
import { burstOf } from '../quota.ts'
import { seccompProfile } from './seccomp-profile.ts'

export interface ContainerPlan {
  readonly spec: GuestSpec
  /** Of the host: its init; the container sees it under INIT_PATH. */
  readonly initPath: string
  /** Of the host: the root file system, mounted. */
  readonly rootPath: string
  readonly cgroupPath: string
  /** Host folders where disks are mounted, and where the container sees them. */
  readonly volumes: readonly { readonly source: string; readonly path: string }[]
}

/** In /dev, which can be written when the root file system cannot. */
export const INIT_PATH = '/dev/godwit-init'
export const PIDS_MAX = 4096
/** As in a virtual machine. Few hosts allow less. */
const FILES_MAX = 10_240

/**
 * What root may do in a container: no more than its own processes and files need. Not CAP_MKNOD: runc lets
 * every container open /dev/net/tun, whatever its device list says, and so nobody may make such a node.
 */
const CAPABILITIES = [
  ...['CAP_AUDIT_WRITE', 'CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_KILL'],
  ...['CAP_NET_BIND_SERVICE', 'CAP_NET_RAW', 'CAP_SETFCAP', 'CAP_SETGID'],
  ...['CAP_SETPCAP', 'CAP_SETUID', 'CAP_SYS_CHROOT'],
]

/** Descriptors that init is given, behind the three of every process. */
export const descriptors = { channel: 3, lastWords: 4 } as const

export function containerSpec(plan: ContainerPlan): Record<string, unknown> {
  const { spec, rootPath } = plan
  return {
    ociVersion: '1.0.2',
    hostname: spec.hostname ?? spec.id,
    root: { path: rootPath, readonly: spec.rootfs.readOnly ?? false },
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      cwd: '/',
      args: [
        INIT_PATH,
        '--container',
        `--channel=listen:${descriptors.channel}`,
        `--last-words=${descriptors.lastWords}`,
      ],
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      noNewPrivileges: true,
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: FILES_MAX, hard: FILES_MAX }],
    },
    mounts: mountsOf(plan),
    linux: {
      namespaces: namespacesOf(spec),
      cgroupsPath: plan.cgroupPath,
      resources: resourcesOf(spec),
      seccomp: seccompProfile,
      maskedPaths: [
        ...['/proc/acpi', '/proc/asound', '/proc/interrupts', '/proc/kcore', '/proc/keys'],
        ...['/proc/latency_stats', '/proc/sched_debug', '/proc/scsi', '/proc/timer_list'],
        ...['/proc/timer_stats', '/sys/devices/virtual/powercap', '/sys/firmware'],
        ...['/sys/kernel/security', '/sys/kernel/debug', '/sys/fs/cgroup'],
      ],
      readonlyPaths: [
        ...['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
      ],
    },
  }
}

function mountsOf({ spec, initPath, volumes }: ContainerPlan) {
  const quiet = ['nosuid', 'noexec', 'nodev']
  const shmBytes = Math.floor((spec.memoryMib * 2 ** 20) / 2)
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: quiet },
    tmpfs('/dev', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    tmpfs('/dev/shm', ['nosuid', 'nodev', 'mode=1777', `size=${shmBytes}`]),
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: quiet },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...quiet, 'ro'] },
    tmpfs('/run', ['nosuid', 'nodev', 'mode=755']),
    ...(spec.rootfs.readOnly ? [tmpfs('/tmp', ['nosuid', 'nodev', 'mode=1777'])] : []),
    bind(initPath, INIT_PATH, ['ro', 'nosuid', 'nodev']),
    ...volumes.map(({ source, path }) => bind(source, path, ['nosuid', 'nodev'])),
  ]
}

const tmpfs = (destination: string, options: readonly string[]) => ({
  ...{ destination, type: 'tmpfs', source: 'tmpfs', options },
})

const bind = (source: string, destination: string, options: readonly string[]) => ({
  ...{ destination, type: 'bind', source, options: ['bind', ...options] },
})

function namespacesOf({ network }: GuestSpec) {
  const own = ['pid', 'mount', 'uts', 'ipc', 'cgroup'].map((type) => ({ type }))
  // Without a network it has one of its own, in which there is nothing but loopback.
  return [...own, network ? { type: 'network', path: network.netnsPath } : { type: 'network' }]
}

function resourcesOf({ cpu, memoryMib, pidsMax = PIDS_MAX }: GuestSpec) {
  const memoryBytes = memoryMib * 2 ** 20
  const { quotaUs, periodUs } = burstOf(cpu)
  return {
    // runc itself allows null, zero, full, random, urandom, tty, ptmx, pts and net/tun.
    devices: [{ allow: false, access: 'rwm' }],
    memory: { limit: memoryBytes, swap: memoryBytes },
    cpu: { quota: quotaUs, period: periodUs },
    pids: { limit: pidsMax },
  }
}
