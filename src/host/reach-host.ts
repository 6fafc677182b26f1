import { askFlyd, ClusterKey, HostClients, type HostOperations, type HostReport } from '#flyd'
import { clusterHosts } from './cluster-rows.ts'
import { HostError } from './errors.ts'
import type { HostConfig } from './host-config.ts'
import { placesOf } from './parts/derived-part.ts'

/** A host's flyd, as operators use it. */
export interface ReachedHost extends Disposable {
  readonly hostId: string
  readonly operations: HostOperations
}

/**
 * This host itself by its socket, any other through the mesh with the cluster's key. Call it on a host, as root.
 *
 * @throws HostError host.unknown; FlydError flyd.host_unreached; CorrosionError when this host's agent is away
 */
export async function reachHost(
  config: HostConfig,
  hostId: string | undefined,
  signal: AbortSignal,
): Promise<ReachedHost> {
  if (hostId === undefined || hostId === config.host) return ownHost(config)
  const rows = await clusterHosts(signal)
  const found = rows.find(({ id }) => id === hostId)
  if (found === undefined) {
    throw new HostError('host.unknown', {
      what: 'there is no such host',
      values: { host: hostId },
      fix: `there are: ${rows.map(({ id }) => id).join(', ')}`,
    })
  }
  const key = ClusterKey.read(placesOf(config).secret('cluster.key'))
  const clients = new HostClients({ addressOf: () => found.backhaul_ip, key })
  return {
    hostId,
    operations: clients.operations(hostId),
    [Symbol.dispose]: () => clients[Symbol.dispose](),
  }
}

function ownHost(config: HostConfig): ReachedHost {
  const socket = placesOf(config).run('flyd.sock')
  return {
    hostId: config.host,
    operations: {
      report: async () => (await askFlyd(socket, 'GET', '/status')) as HostReport,
      setMode: async (mode) => (await askFlyd(socket, 'POST', `/mode?is=${mode}`)) as HostReport,
    },
    [Symbol.dispose]: () => undefined,
  }
}
