import { stringify } from 'smol-toml'
import { hasRole, natsOf } from '../host-config.ts'
import { AGENT_URL } from './corrosion-part.ts'
import { GODWIT, type PartOf, placesOf } from './derived-part.ts'
import { IMAGES_PORT } from './flaps-part.ts'
import { METRICS_PORT } from './proxy-part.ts'

const ADMIN = '127.0.0.1:9281'
/** It lets machines' runs come to a point where they can go on. */
const STOP_GRACE_MS = 30_000

/** The host's machines, and its row in the cluster: every host has it; one that is no worker takes no machines. */
export const flydPart: PartOf = (config) => {
  const at = placesOf(config)
  const { cpus, memory_mb: memoryMb, pool_gb: poolGb, image_cache_gb: cacheGb } = config.worker
  const flyd = {
    host: config.host,
    folder: at.state('flyd'),
    runtime: config.worker.runtime ?? 'runc',
    network: { folder: at.state('net6') },
    is_gateway: hasRole(config, 'gateway'),
    is_edge: hasRole(config, 'edge'),
    region: config.region,
    api: { key_file: at.secret('cluster.key') },
    proxy_metrics: `http://127.0.0.1:${METRICS_PORT}/metrics`,
    admin: { listen: ADMIN, socket: at.run('flyd.sock') },
    corrosion: { url: AGENT_URL, socket: at.agentSocket },
    nats: { host: natsOf(config).host, seed_file: at.secret('nats.seed') },
    secrets: {},
    pool: { size_gb: poolGb },
    images: { cache_gb: cacheGb, port: IMAGES_PORT },
    capacity: {
      ...(cpus === undefined ? {} : { cpus }),
      ...(memoryMb === undefined ? {} : { memory_mb: memoryMb }),
      ...(hasRole(config, 'worker') ? {} : { machines_max: 0 }),
    },
  }
  const file = at.config('flyd.toml')
  return {
    name: 'flyd',
    command: GODWIT,
    args: ['flyd', 'run', '-c', file],
    probe: { kind: 'http', url: `http://${ADMIN}/healthz` },
    after: ['corrosion'],
    stopGraceMs: STOP_GRACE_MS,
    files: [{ path: file, text: stringify(flyd) }],
  }
}
