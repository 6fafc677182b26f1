/**
 * What to ask of a Firecracker process, and in which order. No I/O: a spec and the paths as Firecracker
 * sees them in, requests out. The order of drives is the order of letters in the guest.
 */
import type { MachineId } from '#base'
import type { ApiCall } from './api-call.ts'
import { BOOT_ARGS_CHARS_MAX, type RateLimiter } from './api-schema.ts'
import { FirecrackerError } from './errors.ts'

/** What a guest is to have, as far as Firecracker must know it. */
export interface VmSpec {
  readonly id: MachineId
  readonly cpu: { readonly count: number }
  readonly memoryMib: number
  readonly rootfs: VmDisk
  readonly disks?: readonly VmDisk[]
  readonly network?: VmNetwork
}

export interface VmDisk {
  readonly serial: string
  readonly path: string
  readonly readOnly?: boolean
}

/** `device` is a tap in the namespace. */
export interface VmNetwork {
  readonly netnsPath: string
  readonly device: string
  readonly mac: string
  readonly mtuBytes?: number
}

/** All paths as the Firecracker process opens them: below its root when it is jailed. */
export interface BootFiles {
  readonly kernel: string
  readonly initrd?: string
  readonly vsock: string
  /** One for the rootfs, then one for each of the spec's disks. */
  readonly drives: readonly string[]
  readonly serialLog?: string
}

export interface DeviceOptions {
  /** virtio-rng. @default true */
  readonly hasEntropy?: boolean
  readonly diskLimit?: RateLimiter
  readonly networkLimit?: { readonly receive?: RateLimiter; readonly transmit?: RateLimiter }
}

/** Every guest is alone behind its socket, so all have the lowest address that is free. */
const GUEST_CID = 3
const MTU_BYTES = 1420
/** A machine that floods its console fills no disk of the host: a MiB, and another one each day. */
const SERIAL_LIMIT = { size: 2 ** 20, refill_time: 86_400_000 }
/** It gives way under memory pressure in the guest. Its size is told only where statistics are. */
const EMPTY_BALLOON = { amount_mib: 0, deflate_on_oom: true, stats_polling_interval_s: 1 }
/** Firecracker appends root=, pci=off and one virtio_mmio.device= for each device. */
const APPENDED_CHARS_MAX = 512

/**
 * The kernel's arguments. They replace Firecracker's own defaults, so those that speed up a boot
 * without a PC's hardware are repeated here. `nomodule` is left out: init loads modules.
 */
export function bootArgs(extra: readonly string[] = []): string {
  const text = [
    ...['console=ttyS0', 'reboot=k', 'panic=1', 'quiet'],
    ...['i8042.noaux', 'i8042.nomux', 'i8042.dumbkbd', 'swiotlb=noforce'],
    ...extra,
  ].join(' ')
  if (text.length <= BOOT_ARGS_CHARS_MAX - APPENDED_CHARS_MAX) return text
  throw new FirecrackerError('guest.vmm_call_bad', {
    what: 'the kernel arguments are too long',
    values: { chars: text.length, charsMax: BOOT_ARGS_CHARS_MAX - APPENDED_CHARS_MAX },
  })
}

/** From a fresh process to a guest that runs. */
export function bootPlan(
  spec: VmSpec,
  files: BootFiles,
  options: DeviceOptions & { readonly kernelArgs?: readonly string[] } = {},
): readonly ApiCall[] {
  const { kernelArgs, hasEntropy = true } = options
  return [
    put('/machine-config', { vcpu_count: spec.cpu.count, mem_size_mib: spec.memoryMib }),
    put('/boot-source', {
      kernel_image_path: files.kernel,
      boot_args: bootArgs(kernelArgs),
      ...(files.initrd === undefined ? {} : { initrd_path: files.initrd }),
    }),
    ...driveCalls(spec, files, options),
    ...networkCalls(spec, options),
    put('/vsock', { guest_cid: GUEST_CID, uds_path: files.vsock }),
    ...(hasEntropy ? [put('/entropy', {})] : []),
    put('/balloon', EMPTY_BALLOON),
    ...(files.serialLog === undefined
      ? []
      : [put('/serial', { serial_out_path: files.serialLog, rate_limiter: SERIAL_LIMIT })]),
    put('/actions', { action_type: 'InstanceStart' }),
  ]
}

/** The name of a drive in the API, by its place: 0 is the rootfs. */
export const driveId = (index: number): string => `disk${index}`

/**
 * With an initrd no drive is called root: Firecracker would append a root= of its own, and init mounts
 * the first disk itself.
 */
function driveCalls(spec: VmSpec, files: BootFiles, { diskLimit }: DeviceOptions): ApiCall[] {
  const disks = [spec.rootfs, ...(spec.disks ?? [])]
  return disks.map((disk, index) =>
    put(`/drives/${driveId(index)}`, {
      drive_id: driveId(index),
      is_root_device: index === 0 && files.initrd === undefined,
      path_on_host: files.drives[index] ?? disk.path,
      is_read_only: disk.readOnly ?? false,
      // Unsafe, the default, drops the guest's flushes: its data would not outlive a power cut.
      cache_type: 'Writeback',
      ...(diskLimit === undefined ? {} : { rate_limiter: diskLimit }),
    }),
  )
}

function networkCalls({ network }: VmSpec, { networkLimit }: DeviceOptions): ApiCall[] {
  if (network === undefined) return []
  const { receive, transmit } = networkLimit ?? {}
  const body = {
    iface_id: 'eth0',
    host_dev_name: network.device,
    guest_mac: network.mac,
    mtu: network.mtuBytes ?? MTU_BYTES,
    ...(receive === undefined ? {} : { rx_rate_limiter: receive }),
    ...(transmit === undefined ? {} : { tx_rate_limiter: transmit }),
  }
  return [put('/network-interfaces/eth0', body)]
}

export interface SnapshotFiles {
  readonly state: string
  readonly memory: string
}

/** Leaves the guest paused. When a step fails, `resumePlan` lets it run on. */
export function suspendPlan({ state, memory }: SnapshotFiles): readonly ApiCall[] {
  return [
    patch('/vm', { state: 'Paused' }),
    put('/snapshot/create', {
      snapshot_path: state,
      mem_file_path: memory,
      snapshot_type: 'Full',
    }),
  ]
}

export const resumePlan: readonly ApiCall[] = [patch('/vm', { state: 'Resumed' })]

/**
 * From a fresh process to the guest of a snapshot. No call may come before: Firecracker loads only
 * where nothing was configured. State and memory must be of one snapshot; Firecracker does not check.
 */
export function loadPlan(
  spec: VmSpec,
  { state, memory }: SnapshotFiles,
  vsock: string,
): readonly ApiCall[] {
  const { network } = spec
  const tap = { iface_id: 'eth0', host_dev_name: network?.device }
  return [
    put('/snapshot/load', {
      snapshot_path: state,
      mem_backend: { backend_type: 'File', backend_path: memory },
      vsock_override: { uds_path: vsock },
      ...(network === undefined ? {} : { network_overrides: [tap] }),
      resume_vm: true,
    }),
  ]
}

const put = (path: string, body: Record<string, unknown>): ApiCall => ({
  method: 'PUT',
  path,
  body,
})

function patch(path: string, body: Record<string, unknown>): ApiCall {
  return { method: 'PATCH', path, body }
}

const LETTERS = 26

/**
 * Where the guest finds a disk of its spec. Firecracker makes up the serial of a virtio disk (numbers of
 * the backing file), so that init must be told the path: disks are announced in the order of the
 * spec, and get their letters in that order.
 *
 * @throws FirecrackerError guest.vmm_call_bad
 */
export function devicePathOf(spec: VmSpec, serial: string): string {
  const index = [spec.rootfs, ...(spec.disks ?? [])].findIndex((disk) => disk.serial === serial)
  if (index < 0 || index >= LETTERS) {
    throw new FirecrackerError('guest.vmm_call_bad', {
      what: index < 0 ? 'the machine has no such disk' : 'the machine has too many disks',
      values: { machine: spec.id, serial },
    })
  }
  return `/dev/vd${String.fromCharCode('a'.charCodeAt(0) + index)}`
}
