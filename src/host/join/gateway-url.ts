import { isIPv6 } from 'node:net'
import { type HostConfig, selfOf } from '../host-config.ts'
import { API_PORT } from '../parts/flaps-part.ts'

/** Of a gateway's API, as other hosts reach it: its file alone, which they do not see, names another port. */
export const gatewayUrl = (address: string, port: string | number = API_PORT): string =>
  `https://${isIPv6(address) ? `[${address}]` : address}:${port}`

const LISTEN = /^\[?(?<address>.+?)\]?:(?<port>\d+)$/
const ANY_ADDRESS: readonly string[] = ['0.0.0.0', '::']

/** Of this gateway's own API. Who listens at all addresses is reached at the host's own. */
export function ownGatewayUrl(config: HostConfig): string {
  const { address, port } = LISTEN.exec(config.gateway.listen ?? '')?.groups ?? {}
  const isOne = address !== undefined && !ANY_ADDRESS.includes(address)
  return gatewayUrl(isOne ? address : selfOf(config).address, port)
}
