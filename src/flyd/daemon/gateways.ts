import { systemClock } from '#base'
import { ApiClient } from '#corrosion'
import {
  gatewayAuthorities,
  noAuthorities,
  type SshAuthorities,
} from '../access/gateway-authorities.ts'
import type { ClusterKey } from '../api/cluster-key.ts'
import { gatewaySecrets } from '../effects/gateway-secrets.ts'
import { noSecrets, type SecretSource } from '../effects/secret-source.ts'
import { gatewayMachineApi } from '../machine-api/gateway-machine-api.ts'
import type { AskApi } from '../machine-api/serve-api-socket.ts'
import type { MachineView } from '../model/machine-view.ts'
import type { FlydConfig } from './flyd-config.ts'
import type { HostAddresses } from './host-addresses.ts'

/** Corrosion's agent of this host. */
export const clientOf = ({ url, token }: FlydConfig['corrosion']) =>
  new ApiClient({ url, ...(token === undefined ? {} : { bearerToken: token }) })

/** Of apps whose machines start here. */
export function secretsOf(
  { host: hostId, secrets }: FlydConfig,
  key: ClusterKey,
  { gateways }: HostAddresses,
): SecretSource {
  if (secrets === undefined) return noSecrets
  return gatewaySecrets({ hostId, key, port: secrets.port, gateways })
}

/** Of organisations whose machines are here: who signs certificates for ssh. */
export function authoritiesOf(
  { secrets }: FlydConfig,
  key: ClusterKey,
  { gateways }: HostAddresses,
): SshAuthorities {
  if (secrets === undefined) return noAuthorities
  return gatewayAuthorities({ key, port: secrets.port, gateways, clock: systemClock })
}

/** The API for who runs in machines of this host. Undefined: gateways' APIs for hosts are not configured. */
export function machineApiOf(
  { host: hostId, secrets }: FlydConfig,
  around: { key: ClusterKey; addresses: HostAddresses; machines: Promise<MachineView> },
): AskApi | undefined {
  if (secrets === undefined) return undefined
  const { key, machines } = around
  const { gateways } = around.addresses
  const appOf = async (machine: string) => (await machines).machine(machine)?.appName
  return gatewayMachineApi({ hostId, key, port: secrets.port, gateways, appOf })
}
