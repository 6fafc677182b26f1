import type { Log } from '#base'
import type { ClusterKey } from '../api/cluster-key.ts'
import { type OpenEvacuation, openEvacuation } from '../evacuation/open-evacuation.ts'
import type { LocalHost } from '../local-host.ts'
import type { FlydConfig } from './flyd-config.ts'
import type { HostAddresses } from './host-addresses.ts'
import type { HostModeKeeper } from './host-mode.ts'

/** Moves machines away while this host drains. */
export function evacuate(
  { api, secrets }: FlydConfig,
  around: {
    host: LocalHost
    mode: HostModeKeeper
    key: ClusterKey
    addresses: HostAddresses
    log: Log
  },
): OpenEvacuation {
  const { host, mode, key, addresses, log } = around
  return openEvacuation({
    ...{ host, key, log, gateways: addresses.gateways },
    addressOf: (hostId, signal) => addresses.of(hostId, signal),
    ...{ port: api.port, gatewayPort: secrets?.port },
    isDraining: () => mode.mode === 'draining',
  })
}
