/** The rows of the platform's tables (docs/platform-schema.md) as far as names need them. */
export interface AppRow {
  readonly id: string
  readonly name: string
  readonly orgId: string
  readonly networkId: number
}

export interface MachineRow {
  readonly id: string
  readonly appId: string
  readonly orgId: string
  readonly networkId: number
  readonly hostId: string
  readonly region: string
  readonly state: string
  readonly processGroup: string
  readonly privateIp: string
  readonly metadata: Readonly<Record<string, string>>
  /** False: `dns.skip_registration` of its configuration. */
  readonly isRegistered: boolean
  /** The proxy sends nothing to it. */
  readonly isCordoned: boolean
}

/** A port of a machine that the proxy serves. */
export interface ServiceRow {
  readonly machineId: string
  /** `tcp` or `udp`. */
  readonly protocol: string
  /** 1 to 65535. */
  readonly internalPort: number
  readonly ports: readonly ServicePort[]
}

/** Public ports from `first` to `last`. */
export interface ServicePort {
  readonly first: number
  readonly last: number
  readonly handlers: readonly string[]
}

export interface CheckRow {
  readonly machineId: string
  readonly status: string
  /** The proxy heeds it. */
  readonly isOfService: boolean
}

export interface IpRow {
  readonly address: string
  readonly appId: string
  readonly kind: string
  readonly networkId: number
}

export interface PeerRow {
  readonly publicKey: string
  readonly orgId: string
  readonly networkId: number
  readonly name: string
  readonly peerIp: string
}

export interface LinkRow {
  readonly hostId: string
  readonly peerId: string
  readonly rttUs: number | undefined
}

export interface RegionRow {
  readonly name: string
  readonly latitude: number
  readonly longitude: number
  /** Of the rows that hosts write of one region, the last counts. */
  readonly updatedAt: number
}

export interface ChallengeRow {
  readonly hostname: string
  readonly token: string
  readonly kind: string
  readonly answer: string
}

export interface TableRows {
  readonly apps: AppRow
  readonly machines: MachineRow
  readonly services: ServiceRow
  readonly checks: CheckRow
  readonly ips: IpRow
  readonly wireguard_peers: PeerRow
  readonly host_links: LinkRow
  readonly regions: RegionRow
  readonly acme_challenges: ChallengeRow
}

export type TableName = keyof TableRows

/** One row written (`row`) or gone (undefined). `key` is the same for all changes of a row. */
export type RowChange = {
  readonly [Table in TableName]: {
    readonly table: Table
    readonly key: string
    readonly row: TableRows[Table] | undefined
  }
}[TableName]

/** Where rows come from. */
export interface DnsRows extends AsyncDisposable {
  /** Has each table been read in full at least once? */
  readonly isComplete: boolean
  /** Is the source being heard now? Answers go on from memory when it is not. */
  readonly isConnected: boolean
}
