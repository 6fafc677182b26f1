import { stringify } from 'smol-toml'
import { MESH } from '#net6'
import { hasRole, natsOf, selfOf } from '../host-config.ts'
import { AGENT_URL } from './corrosion-part.ts'
import { GODWIT, type PartOf, placesOf } from './derived-part.ts'
import { logBytesMaxOf, natsClientOf } from './nats-part.ts'

const ADMIN = '127.0.0.1:9280'
/** Where a gateway's API listens unless its file says otherwise. */
export const API_PORT = 4280
const SECRETS_PORT = 4282
/** On which hosts get the images that clients brought to gateways. */
export const IMAGES_PORT = 4283
/** Of what nats-server may take on disk: it needs some beside the lines. */
const LOG_SHARE = 0.9

/** The Machines API. Gateways have it. */
export const flapsPart: PartOf = (config) => {
  if (!hasRole(config, 'gateway')) return undefined
  const at = placesOf(config)
  const { address } = selfOf(config)
  const { oidc_issuer: issuer } = config.gateway
  const { app_domain: appDomain } = config.edge
  const flaps = {
    region: config.region.code,
    listen: config.gateway.listen ?? `${address}:${API_PORT}`,
    admin: ADMIN,
    replica: at.replica,
    tls: { cert_file: at.secret('server.pem'), key_file: at.secret('server.key') },
    agent: {
      ...{ socket: at.agentSocket, host: config.host, url: AGENT_URL },
      edge_keys: at.secret('edge-keys'),
    },
    accounts: { database: `${at.accounts}/accounts.db`, key_ring: `${at.accounts}/key-ring` },
    network: { folder: at.state('net6') },
    secrets: { listen: `${MESH}:${SECRETS_PORT}` },
    networks: { address: MESH },
    hosts: { key_file: at.secret('cluster.key') },
    join: {
      ca_file: at.secret('ca.pem'),
      joining_cert_file: at.secret('joining.pem'),
      joining_key_file: at.secret('joining.key'),
      ...(appDomain === undefined ? {} : { app_domain: appDomain }),
      members: config.members,
    },
    addresses: config.gateway.addresses,
    ...(appDomain === undefined ? {} : { app_domain: appDomain }),
    ...(issuer === undefined ? {} : { oidc: { issuer } }),
    images: { folder: at.state('images'), listen: `${MESH}:${IMAGES_PORT}` },
    logs: { bytes_max: Math.floor(logBytesMaxOf(config) * LOG_SHARE) },
    nats: {
      host: natsOf(config).host,
      seed_file: at.secret('gateway.seed'),
      client: natsClientOf(config.host),
    },
  }
  const file = at.config('flaps.toml')
  return {
    name: 'flaps',
    command: GODWIT,
    args: ['flaps', 'run', '-c', file],
    probe: { kind: 'http', url: `http://${ADMIN}/healthz` },
    after: ['corrosion'],
    files: [{ path: file, text: stringify(flaps) }],
  }
}
