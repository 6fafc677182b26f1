import { stringify } from 'smol-toml'
import { MESH } from '#net6'
import { hasRole } from '../host-config.ts'
import { AGENT_URL } from './corrosion-part.ts'
import { GODWIT, type PartOf, placesOf } from './derived-part.ts'

const BACKHAUL_PORT = 4290
/** Of 127.0.0.1. Port 9091 is taken by nothing else of a host. */
export const METRICS_PORT = 9091
/** Connections of clients may go on so long after it is told to end. */
const DRAIN_S = 20

/** Edges take clients' connections; every host's proxy leads to the machines beside it. */
export const proxyPart: PartOf = (config) => {
  const at = placesOf(config)
  const { addresses = [], app_domain: appDomain = '', local_ca: localCa, acme } = config.edge
  const { autostop } = config.worker
  const socket = at.run('proxy.sock')
  const proxy = {
    region: config.region.code,
    admin_socket: socket,
    metrics_port: METRICS_PORT,
    drain_s: DRAIN_S,
    routing: {
      host: config.host,
      is_edge: hasRole(config, 'edge'),
      app_domain: appDomain,
      ...(addresses.length === 0 ? {} : { addresses }),
      folder: at.state('proxy'),
      key_ring: at.secret('edge-keys'),
      corrosion: { url: AGENT_URL },
      network: { folder: at.state('net6') },
      backhaul: { address: MESH, port: BACKHAUL_PORT },
      hosts: { key_file: at.secret('cluster.key') },
      ...(autostop === undefined ? {} : { autostop }),
      ...(localCa === undefined ? {} : { local_ca: localCa }),
      ...(acme !== undefined && hasRole(config, 'edge') ? { acme } : {}),
    },
  }
  const file = at.config('proxy.toml')
  return {
    name: 'proxy',
    command: GODWIT,
    args: ['proxy', 'run', '-c', file],
    probe: { kind: 'own', path: socket },
    takesOver: true,
    after: ['corrosion'],
    stopGraceMs: (DRAIN_S + 10) * 1000,
    files: [{ path: file, text: stringify(proxy) }],
    folders: [at.state('proxy')],
  }
}
