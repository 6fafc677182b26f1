import { stringify } from 'smol-toml'
import { PLATFORM_SCHEMA } from '#corrosion'
import { selfOf } from '../host-config.ts'
import { GODWIT, type PartOf, placesOf } from './derived-part.ts'

const GOSSIP_PORT = 8787
/** Of the agent's API, which only this host's own parts ask. */
export const AGENT_API = { host: '127.0.0.1', port: 8080 } as const
export const AGENT_URL = `http://${AGENT_API.host}:${AGENT_API.port}`

/** The host's replica of the cluster's state. Every host has one. */
export const corrosionPart: PartOf = (config) => {
  const at = placesOf(config)
  const schema = at.config('schema.sql')
  const agent = {
    db: { path: at.replica, schema_paths: [schema] },
    api: { bind_addr: `${AGENT_API.host}:${AGENT_API.port}` },
    gossip: {
      bind_addr: `${selfOf(config).address}:${GOSSIP_PORT}`,
      bootstrap: config.members.map(({ address }) => `${address}:${GOSSIP_PORT}`),
      tls: {
        ca_file: at.secret('ca.pem'),
        cert_file: at.secret('server.pem'),
        key_file: at.secret('server.key'),
        client: { cert_file: at.secret('client.pem'), key_file: at.secret('client.key') },
      },
    },
    admin: { uds_path: at.agentSocket },
  }
  const file = at.config('corrosion.toml')
  return {
    name: 'corrosion',
    command: GODWIT,
    args: ['corrosion', '-c', file, 'agent'],
    probe: { kind: 'tcp', ...AGENT_API },
    files: [
      { path: schema, text: PLATFORM_SCHEMA },
      { path: file, text: stringify(agent) },
    ],
    folders: [at.state('corrosion')],
  }
}
