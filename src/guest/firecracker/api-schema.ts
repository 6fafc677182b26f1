/**
 * The request bodies of Firecracker's API (1.17), as far as Godwit sends them. They refuse what the
 * program refuses while it reads a body, and two things that it takes: reserved vsock addresses, and
 * deprecated fields. The test holds them against requests recorded from the real program.
 */
import { type Static, type TSchema, Type } from 'typebox'

const strict = { additionalProperties: false }
/** Unsigned 64 bit there; a JavaScript number holds 53. */
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const HostPath = Type.String({ minLength: 1, pattern: '^[^\\u0000]+$' })
const ResourceId = Type.String({ pattern: '^[A-Za-z0-9_]+$' })
const Mac = Type.String({ pattern: '^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$' })

/** `size` tokens, refilled over `refill_time` milliseconds. Both 0 removes a limit. */
export const TokenBucket = Type.Object(
  { size: Count, refill_time: Count, one_time_burst: Type.Optional(Count) },
  strict,
)

/** `bandwidth` counts bytes, `ops` operations. */
export const RateLimiter = Type.Object(
  { bandwidth: Type.Optional(TokenBucket), ops: Type.Optional(TokenBucket) },
  strict,
)
export type RateLimiter = Static<typeof RateLimiter>

const machineFields = {
  vcpu_count: Type.Integer({ minimum: 1, maximum: 32 }),
  mem_size_mib: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
  smt: Type.Optional(Type.Boolean()),
  track_dirty_pages: Type.Optional(Type.Boolean()),
  huge_pages: Type.Optional(
    Type.Union([Type.Literal('None'), Type.Literal('Transparent'), Type.Literal('2M')]),
  ),
}
const MachineConfig = Type.Object(machineFields, strict)
const MachineChange = Type.Partial(Type.Object(machineFields, strict), {
  ...strict,
  minProperties: 1,
})

/** With its ending zero the command line has 2048 bytes, and Firecracker appends to it. */
export const BOOT_ARGS_CHARS_MAX = 2047

const BootSource = Type.Object(
  {
    kernel_image_path: HostPath,
    boot_args: Type.Optional(Type.String({ maxLength: BOOT_ARGS_CHARS_MAX })),
    initrd_path: Type.Optional(HostPath),
  },
  strict,
)

const Drive = Type.Object(
  {
    drive_id: ResourceId,
    is_root_device: Type.Boolean(),
    path_on_host: HostPath,
    is_read_only: Type.Optional(Type.Boolean()),
    partuuid: Type.Optional(Type.String()),
    cache_type: Type.Optional(Type.Union([Type.Literal('Unsafe'), Type.Literal('Writeback')])),
    io_engine: Type.Optional(Type.Union([Type.Literal('Sync'), Type.Literal('Async')])),
    rate_limiter: Type.Optional(RateLimiter),
  },
  strict,
)

const DriveChange = Type.Object(
  {
    drive_id: ResourceId,
    path_on_host: Type.Optional(HostPath),
    rate_limiter: Type.Optional(RateLimiter),
  },
  { ...strict, minProperties: 2 },
)

const limiters = {
  rx_rate_limiter: Type.Optional(RateLimiter),
  tx_rate_limiter: Type.Optional(RateLimiter),
}
const NetworkInterface = Type.Object(
  {
    iface_id: ResourceId,
    host_dev_name: Type.String({ minLength: 1, maxLength: 15 }),
    guest_mac: Type.Optional(Mac),
    mtu: Type.Optional(Type.Integer({ minimum: 68, maximum: 65_535 })),
    ...limiters,
  },
  strict,
)
const NetworkChange = Type.Object({ iface_id: ResourceId, ...limiters }, strict)

/** What sun_path holds, less its ending zero (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107

/** Addresses 0 to 2 are taken (vsock(7)); Firecracker does not look. */
const Vsock = Type.Object(
  {
    guest_cid: Type.Integer({ minimum: 3, maximum: 0xffff_ffff }),
    uds_path: Type.String({ minLength: 1, maxLength: SOCKET_PATH_BYTES_MAX }),
  },
  strict,
)

const Entropy = Type.Object({ rate_limiter: Type.Optional(RateLimiter) }, strict)
const Serial = Type.Object(
  { serial_out_path: Type.Optional(HostPath), rate_limiter: Type.Optional(TokenBucket) },
  strict,
)

const Balloon = Type.Object(
  {
    amount_mib: Type.Integer({ minimum: 0, maximum: 0xffff_ffff }),
    deflate_on_oom: Type.Boolean(),
    stats_polling_interval_s: Type.Optional(Type.Integer({ minimum: 0, maximum: 0xffff })),
    free_page_reporting: Type.Optional(Type.Boolean()),
    free_page_hinting: Type.Optional(Type.Boolean()),
  },
  strict,
)
const BalloonChange = Type.Object(
  { amount_mib: Type.Integer({ minimum: 0, maximum: 0xffff_ffff }) },
  strict,
)

const Action = Type.Object(
  {
    action_type: Type.Union([
      Type.Literal('InstanceStart'),
      Type.Literal('FlushMetrics'),
      Type.Literal('SendCtrlAltDel'),
    ]),
  },
  strict,
)
const VmState = Type.Object(
  { state: Type.Union([Type.Literal('Paused'), Type.Literal('Resumed')]) },
  strict,
)

const SnapshotCreate = Type.Object(
  {
    snapshot_path: HostPath,
    mem_file_path: HostPath,
    snapshot_type: Type.Optional(Type.Union([Type.Literal('Full'), Type.Literal('Diff')])),
  },
  strict,
)

const SnapshotLoad = Type.Object(
  {
    snapshot_path: HostPath,
    mem_backend: Type.Object(
      {
        backend_type: Type.Union([Type.Literal('File'), Type.Literal('Uffd')]),
        backend_path: HostPath,
      },
      strict,
    ),
    resume_vm: Type.Optional(Type.Boolean()),
    track_dirty_pages: Type.Optional(Type.Boolean()),
    clock_realtime: Type.Optional(Type.Boolean()),
    network_overrides: Type.Optional(
      Type.Array(Type.Object({ iface_id: Type.String(), host_dev_name: Type.String() }, strict)),
    ),
    vsock_override: Type.Optional(Type.Object({ uds_path: Vsock.properties.uds_path }, strict)),
  },
  strict,
)

export interface ApiRoute {
  readonly body: TSchema
  /** The field of the body that repeats the last part of the path. */
  readonly idField?: string
}

/** By method and path, with `{id}` where the name of a resource stands. */
export const apiRoutes: Readonly<Record<string, ApiRoute>> = {
  'PUT /machine-config': { body: MachineConfig },
  'PATCH /machine-config': { body: MachineChange },
  'PUT /boot-source': { body: BootSource },
  'PUT /drives/{id}': { body: Drive, idField: 'drive_id' },
  'PATCH /drives/{id}': { body: DriveChange, idField: 'drive_id' },
  'PUT /network-interfaces/{id}': { body: NetworkInterface, idField: 'iface_id' },
  'PATCH /network-interfaces/{id}': { body: NetworkChange, idField: 'iface_id' },
  'PUT /vsock': { body: Vsock },
  'PUT /entropy': { body: Entropy },
  'PUT /serial': { body: Serial },
  'PUT /balloon': { body: Balloon },
  'PATCH /balloon': { body: BalloonChange },
  'PUT /actions': { body: Action },
  'PATCH /vm': { body: VmState },
  'PUT /snapshot/create': { body: SnapshotCreate },
  'PUT /snapshot/load': { body: SnapshotLoad },
}
