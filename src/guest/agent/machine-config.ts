import { type Rec, RecordTag } from './record.ts'

/** What init is told before the entrypoint starts. Everything but the command may be left out. */
export interface GuestConfig {
  readonly argv: readonly [string, ...string[]]
  readonly env?: Readonly<Record<string, string>>
  /** Ids, because names were resolved from the image's own files. @default root */
  readonly user?: GuestUser
  /** Made when it is missing. @default / */
  readonly cwd?: string
  /** Gives the entrypoint a terminal of that size. */
  readonly tty?: TerminalSize
  /** Gives an entrypoint without a terminal an input, which is open until the host ends it. */
  readonly hasInput?: boolean
  readonly hostname?: string
  /** Lines of /etc/hosts after the image's own. */
  readonly hosts?: readonly { readonly address: string; readonly names: readonly string[] }[]
  readonly nameservers?: readonly string[]
  readonly searchDomains?: readonly string[]
  readonly links?: readonly { readonly name: string; readonly mtuBytes?: number }[]
  /** `cidr` is address/bits; `gateway` becomes the default route of its family. */
  readonly addresses?: readonly {
    readonly link: string
    readonly cidr: string
    readonly gateway?: string
  }[]
  /** A device is a path, or the serial of a virtio disk. */
  readonly root?: { readonly device: string; readonly type: string; readonly readOnly?: boolean }
  readonly volumes?: readonly GuestVolume[]
  readonly swapDevices?: readonly string[]
  /** `resource` is the number of getrlimit(2). */
  readonly limits?: readonly {
    readonly resource: number
    readonly soft: bigint
    readonly hard: bigint
  }[]
}

export interface GuestUser {
  readonly uid: number
  readonly gid: number
  /** Supplementary groups, at most 64. */
  readonly groups?: readonly number[]
}

export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

export interface GuestVolume {
  readonly device: string
  readonly path: string
  readonly type: 'ext4' | 'xfs'
  /** As in fstab(5); `ro` and `noatime`, the rest goes to the file system. */
  readonly options?: string
  readonly owner?: { readonly uid: number; readonly gid: number }
}

/** What an exec may say for itself; what it leaves out is the entrypoint's. */
export interface ExecConfig {
  readonly argv: readonly [string, ...string[]]
  readonly env?: Readonly<Record<string, string>>
  readonly user?: GuestUser
  readonly cwd?: string
  readonly tty?: TerminalSize
}

export function execRecords({ argv, env = {}, user, cwd, tty }: ExecConfig): Rec[] {
  return [
    [RecordTag.argv, ...argv],
    ...Object.entries(env).map(([name, value]): Rec => [RecordTag.env, `${name}=${value}`]),
    ...optional(user, ({ uid, gid, groups = [] }) => [RecordTag.user, uid, gid, ...groups]),
    ...optional(cwd, (path) => [RecordTag.cwd, path]),
    ...optional(tty, ({ columns, rows }) => [RecordTag.tty, columns, rows]),
  ]
}

export function configRecords(config: GuestConfig): Rec[] {
  return [
    ...execRecords(config),
    ...(config.hasInput ? [[RecordTag.input, 'yes'] as const] : []),
    ...optional(config.root, ({ device, type, readOnly }) => [
      ...([RecordTag.root, device, type, readOnly ? 'ro' : 'rw'] as const),
    ]),
    ...optional(config.hostname, (name) => [RecordTag.hostname, name]),
    ...(config.hosts ?? []).map(({ address, names }): Rec => [RecordTag.host, address, ...names]),
    ...(config.nameservers ?? []).map((address): Rec => [RecordTag.nameserver, address]),
    ...(config.searchDomains ?? []).map((domain): Rec => [RecordTag.search, domain]),
    ...(config.links ?? []).map(({ name, mtuBytes }): Rec => [RecordTag.link, name, mtuBytes ?? 0]),
    ...(config.addresses ?? []).map(
      ({ link, cidr, gateway }): Rec => [RecordTag.address, link, cidr, gateway ?? ''],
    ),
    ...(config.volumes ?? []).map(volumeRecord),
    ...(config.swapDevices ?? []).map((device): Rec => [RecordTag.swap, device]),
    ...(config.limits ?? []).map(
      ({ resource, soft, hard }): Rec => [RecordTag.rlimit, resource, String(soft), String(hard)],
    ),
  ]
}

function volumeRecord({ device, path, type, options = '', owner }: GuestVolume): Rec {
  const ids = owner === undefined ? [] : [owner.uid, owner.gid]
  return [RecordTag.mount, device, path, type, options, ...ids]
}

function optional<T>(value: T | undefined, make: (value: T) => Rec): Rec[] {
  return value === undefined ? [] : [make(value)]
}
