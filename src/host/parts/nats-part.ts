import {
  NATS_PORT,
  type NatsUser,
  natsServerConfig,
  parseClientId,
  parseHostId,
  parseRegion,
} from '#market'
import { type HostConfig, hasRole, natsOf } from '../host-config.ts'
import { GODWIT, type PartOf, placesOf } from './derived-part.ts'

const GB = 2 ** 30
/** Debian's daemons lie outside of the PATH of other users than root. */
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin`

/** The server's own configuration cannot wait for an address. */
const SCRIPT = `
address=$("$1" net address --state "$2")
exec nats-server --config "$3" --addr "$address"`

/** Bids for new machines go through it, and it keeps the log of machines. One host has it. */
export const natsPart: PartOf = (config) => {
  if (!hasRole(config, 'nats')) return undefined
  const at = placesOf(config)
  const file = at.config('nats.json')
  const { host } = natsOf(config)
  const network = at.state('net6')
  return {
    name: 'nats',
    command: 'sh',
    args: ['-ec', SCRIPT, 'sh', GODWIT, network, file],
    env: { PATH },
    probe: { kind: 'mesh', folder: network, port: NATS_PORT },
    reloadSignal: 'SIGHUP',
    files: [
      {
        path: file,
        text: natsServerConfig({
          name: host,
          listen: `127.0.0.1:${NATS_PORT}`, // the script names another address
          users: usersOf(config),
          logs: { storeDir: at.state('nats'), bytesMax: logBytesMaxOf(config) },
        }),
      },
    ],
    folders: [at.state('nats')],
  }
}

export const logBytesMaxOf = ({ nats }: HostConfig): number => Math.floor(nats.logs_gb * GB)

/** How a gateway is known on NATS, where it alone hears the replies to what it asked. */
export const natsClientOf = (host: string): string => `flaps-${host}`

const usersOf = ({ members }: HostConfig): NatsUser[] =>
  members.flatMap(({ host, region, nkey, gateway_nkey: gatewayNkey }): NatsUser[] => [
    { kind: 'host', nkey, host: parseHostId(host), region: parseRegion(region) },
    ...(gatewayNkey === undefined
      ? []
      : [{ kind: 'client' as const, nkey: gatewayNkey, client: clientOf(host) }]),
  ])

const clientOf = (host: string) => parseClientId(natsClientOf(host))
