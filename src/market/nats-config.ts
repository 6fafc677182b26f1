import type { ClientId, HostId, Region } from './host.ts'
import { MESSAGE_BYTES_MAX } from './message.ts'
import {
  CLIENT_SUBJECTS,
  clientReplies,
  hostReplies,
  hostSubjects,
  LOG_API,
  LOG_LINES,
  LOG_REPLIES,
  logSubjects,
} from './subjects.ts'

const HEADER_BYTES = 4 << 10
/** A client that reads nothing is cut off when so much waits for it. */
const PENDING_BYTES_MAX = 8 << 20
const WRITE_DEADLINE = '2s'
const PING_PERIOD = '5s'

export const NATS_PORT = 4222

/** Of the server at an address of the mesh, for `NatsLink`. None while no row tells the address. */
export const natsUrls = (address: string | undefined): readonly string[] =>
  address === undefined || address === ''
    ? []
    : [`nats://${address.includes(':') ? `[${address}]` : address}:${NATS_PORT}`]

/** Who may connect. The server knows public keys alone; seeds stay where they are used. */
export type NatsUser =
  | {
      readonly kind: 'host'
      /** Public user nkey: `U...` */
      readonly nkey: string
      readonly host: HostId
      readonly region: Region
    }
  | { readonly kind: 'client'; readonly nkey: string; readonly client: ClientId }

export interface NatsServerConfig {
  readonly name: string
  /** Where hosts and flaps connect: `address:port`. An address of the mesh, never a public one. */
  readonly listen: string
  readonly users: readonly NatsUser[]
  /** Keeps the log of machines in JetStream. Absent: no log is kept here. */
  readonly logs?: {
    readonly storeDir: string
    /** Bytes on disk, over all streams. */
    readonly bytesMax: number
  }
  /** The servers of other regions, which pass on what is asked there. Absent: this one stands alone. */
  readonly cluster?: {
    /** Equal on all servers. */
    readonly name: string
    readonly listen: string
    /** `nats://address:port` of the others' cluster listeners; itself among them does no harm. */
    readonly routes: readonly string[]
  }
}

/**
 * A configuration file of nats-server, as JSON, which its own format includes. All hosts and clients
 * share one account; permissions make each hear and say only what is its own (subjects.ts).
 * Source: NATS documentation, "Authorization" and "NKeys".
 */
export function natsServerConfig(options: NatsServerConfig): string {
  const { name, listen, users, cluster, logs } = options
  const config = {
    server_name: name,
    listen,
    max_payload: MESSAGE_BYTES_MAX + HEADER_BYTES,
    max_pending: PENDING_BYTES_MAX,
    write_deadline: WRITE_DEADLINE,
    ping_interval: PING_PERIOD,
    accounts: {
      MARKET: {
        ...(logs === undefined ? {} : { jetstream: 'enabled' }),
        users: users.map((user) => ({ nkey: user.nkey, permissions: permissionsOf(user) })),
      },
    },
    ...(cluster === undefined ? {} : { cluster }),
    ...(logs === undefined
      ? {}
      : { jetstream: { store_dir: logs.storeDir, max_mem: 0, max_file: logs.bytesMax } }),
  }
  return `${JSON.stringify(config, null, 2)}\n`
}

function permissionsOf(user: NatsUser) {
  if (user.kind === 'client') {
    return {
      publish: [...CLIENT_SUBJECTS, ...LOG_API],
      subscribe: [clientReplies(user.client), LOG_REPLIES, LOG_LINES],
    }
  }
  const { asks, orders } = hostSubjects(user.host, user.region)
  return {
    publish: [hostReplies(user.host), logSubjects(user.region)],
    subscribe: [...asks, orders],
  }
}
