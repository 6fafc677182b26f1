/**
 * How QEMU is called for a guest. Pure: a spec and numbers of descriptors in, words out. QEMU opens nothing
 * by a path of the host: sockets and disks are descriptors that it inherits, kernel and initramfs lie in
 * its root.
 */
import { GuestError } from '../errors.ts'
import type { GuestDisk, GuestSpec } from '../guest-spec.ts'

export type Accelerator = 'kvm' | 'tcg'

export interface CommandPlan {
  readonly spec: GuestSpec
  readonly accelerator: Accelerator
  /** Of the host's clock, which an emulated guest cannot find out by itself on a busy host. */
  readonly tscKhz: number | undefined
  /** A second one waits for `migrate-incoming` and does not boot. */
  readonly isIncoming: boolean
  readonly descriptors: {
    /** Both listen. */
    readonly qmp: number
    readonly agent: number
    /** Of the root, then of each disk. */
    readonly disks: readonly number[]
  }
  /** Of each disk: a block device, not a file. */
  readonly areDevices: readonly boolean[]
}

/** Paths in QEMU's root. */
export const inside = {
  qemu: '/usr/bin/qemu-system-x86_64',
  kernel: '/machine/vmlinux',
  initramfs: '/machine/initramfs.cpio',
  run: '/run',
  saveSocket: '/run/save.sock',
} as const

export const AGENT_PORT = 'agent'
const CONSOLE_BYTES = 65_536
/** Translated code. More is faster for large programs and is memory of the host for each machine. */
const TRANSLATION_MIB = 64
const MTU_BYTES = 1420
const CPU_COUNT_MAX = 32
/** The machine has 24 places; serial, entropy, balloon and network take four. */
const DISKS_MAX = 16
const SANDBOX = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'

export function commandLine(plan: CommandPlan): string[] {
  const { accelerator, spec, descriptors, isIncoming } = plan
  const isKvm = accelerator === 'kvm'
  return [
    inside.qemu,
    ...['-machine', 'microvm,acpi=on,pic=on,pit=on,rtc=on,isa-serial=on,auto-kernel-cmdline=off'],
    ...['-accel', isKvm ? 'kvm' : `tcg,tb-size=${TRANSLATION_MIB}`],
    // Nested hypervisors refuse that CPU feature.
    ...['-cpu', isKvm ? 'host,-arch-capabilities' : 'max'],
    ...['-smp', String(spec.cpu.count), '-m', `${spec.memoryMib}M`],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-sandbox', SANDBOX],
    // What the guest ends with is asked before QEMU ends: see qemu-end.ts.
    ...['-action', 'reboot=shutdown,shutdown=pause,panic=pause'],
    ...['-bios', 'qboot.rom', '-kernel', inside.kernel, '-initrd', inside.initramfs],
    ...['-append', kernelArgs(plan)],
    ...chardev(`socket,id=qmp,fd=${descriptors.qmp},server=on,wait=off`),
    ...['-mon', 'chardev=qmp,mode=control'],
    ...chardev(`ringbuf,id=console,size=${CONSOLE_BYTES}`),
    ...['-serial', 'chardev:console'],
    ...chardev(`socket,id=channel,fd=${descriptors.agent},server=on,wait=off`),
    ...device('virtio-serial-device'),
    ...device(`virtserialport,chardev=channel,name=godwit.agent,id=${AGENT_PORT}`),
    ...['-object', 'rng-builtin,id=entropy'],
    ...device('virtio-rng-device,rng=entropy'),
    ...device('virtio-balloon-device,id=balloon,deflate-on-oom=on'),
    ...disksOf(plan),
    ...networkOf(spec),
    ...(isIncoming ? ['-incoming', 'defer'] : []),
  ]
}

const chardev = (text: string) => ['-chardev', text]
const device = (text: string) => ['-device', text]

/** `mitigations` stay as the kernel has them: a machine's programs need not trust each other. */
function kernelArgs({ accelerator, tscKhz }: CommandPlan): string {
  const needsClock = accelerator === 'tcg' && tscKhz !== undefined
  return [
    ...['console=ttyS0', 'quiet', 'panic=-1', 'reboot=t'],
    ...(needsClock ? [`tsc_early_khz=${tscKhz}`] : []),
  ].join(' ')
}

function disksOf({ spec, descriptors, areDevices }: CommandPlan): string[] {
  return allDisks(spec).flatMap(({ serial, readOnly = false }, index) => {
    const set = index + 1
    const driver = areDevices[index] === true ? 'host_device' : 'file'
    const node = [
      `driver=${driver},node-name=disk${index},filename=/dev/fdset/${set}`,
      `read-only=${readOnly ? 'on' : 'off'},locking=off,discard=unmap`,
    ]
    return [
      ...['-add-fd', `fd=${descriptors.disks[index]},set=${set}`],
      ...['-blockdev', node.join(',')],
      ...device(`virtio-blk-device,id=virtio-disk${index},drive=disk${index},serial=${serial}`),
    ]
  })
}

function networkOf({ network }: GuestSpec): string[] {
  if (network === undefined) return []
  const { device: tap, mac, mtuBytes = MTU_BYTES } = network
  return [
    ...['-netdev', `tap,id=net,ifname=${tap},script=no,downscript=no`],
    ...device(`virtio-net-device,id=virtio-net,netdev=net,mac=${mac},host_mtu=${mtuBytes}`),
  ]
}

export const allDisks = ({ rootfs, disks = [] }: GuestSpec): readonly GuestDisk[] => [
  rootfs,
  ...disks,
]

/** Whatever becomes part of a word is looked at before. @throws GuestError guest.spec_bad */
export function checkSpec(spec: GuestSpec): void {
  const { cpu, memoryMib, network } = spec
  const disks = allDisks(spec)
  const bad = (what: string, values: Record<string, unknown>) => {
    throw new GuestError('guest.spec_bad', { what, values: { machine: spec.id, ...values } })
  }
  if (!isWithin(cpu.count, 1, CPU_COUNT_MAX)) {
    bad('the number of CPUs is out of range', { count: cpu.count, countMax: CPU_COUNT_MAX })
  }
  if (!isWithin(memoryMib, 1, 2 ** 24)) bad('the memory is out of range', { memoryMib })
  if (disks.length > DISKS_MAX) {
    bad('the machine has too many disks', { disks: disks.length, disksMax: DISKS_MAX })
  }
  for (const { serial } of disks) {
    if (!/^\w{1,20}$/.test(serial)) bad('a serial of a disk is not one', { serial })
  }
  if (network === undefined) return
  if (!/^[\w.-]{1,15}$/.test(network.device)) bad('the tap has no name', { ...network })
  if (!/^[\da-f]{2}(:[\da-f]{2}){5}$/i.test(network.mac)) bad('the MAC is not one', { ...network })
  if (!isWithin(network.mtuBytes ?? MTU_BYTES, 68, 65_535)) bad('the MTU is bad', { ...network })
}

const isWithin = (value: number, min: number, max: number) =>
  Number.isInteger(value) && value >= min && value <= max

/**
 * The rate of the host's time stamp counter. The name of the processor says it where it has one; the
 * frequency of the moment is the same on virtual machines.
 *
 * @param cpuInfo the text of /proc/cpuinfo. @returns undefined where it names none.
 */
export function tscKiloHertz(cpuInfo: string): number | undefined {
  const gigaHertz = /^model name\s*:.*@ ([\d.]+)GHz$/m.exec(cpuInfo)?.[1]
  if (gigaHertz !== undefined) return Math.round(Number(gigaHertz) * 1e6)
  const megaHertz = /^cpu MHz\s*: ([\d.]+)$/m.exec(cpuInfo)?.[1]
  return megaHertz === undefined ? undefined : Math.round(Number(megaHertz) * 1000)
}
