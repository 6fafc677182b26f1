import { stringify } from 'smol-toml'
import { type HostConfig, hasRole, selfOf } from '../host-config.ts'
import { AGENT_URL } from './corrosion-part.ts'
import { GODWIT, type PartOf, placesOf } from './derived-part.ts'

const OBSERVE = '127.0.0.1:9254'

/** The private network: every host has it, machines or not. It needs no other part to start. */
export const netPart: PartOf = (config) => {
  const at = placesOf(config)
  const { anycast } = config.edge
  const net = {
    host_id: config.host,
    public_address: selfOf(config).address,
    folder: at.state('net6'),
    observe: OBSERVE,
    socket: at.run('net.sock'),
    corrosion: { url: AGENT_URL },
    ...(config.wireguard.gateway ? { gateway: gatewayOf(config) } : {}),
    ...(anycast && hasRole(config, 'edge')
      ? { anycast: { ...anycast, proxy_socket: at.run('proxy.sock') } }
      : {}),
  }
  const file = at.config('net.toml')
  return {
    name: 'net',
    command: GODWIT,
    args: ['net', 'run', '-c', file],
    probe: { kind: 'http', url: `http://${OBSERVE}/healthz` },
    files: [{ path: file, text: stringify(net) }],
  }
}

const WEB_SOCKET_PORT = 443

/** Where the host's own address is an app's, too, port 443 is the proxy's. */
function gatewayOf(config: HostConfig) {
  const at = placesOf(config)
  const { address } = selfOf(config)
  const { v4, shared_v4: sharedV4 } = config.gateway.addresses
  const region = config.region.code
  const isServed = [...v4, sharedV4, ...(config.edge.addresses ?? [])].includes(address)
  if (isServed) return { region }
  const listen = `${address.includes(':') ? `[${address}]` : address}:${WEB_SOCKET_PORT}`
  const tls = { cert_file: at.secret('server.pem'), key_file: at.secret('server.key') }
  return { region, web_socket: { listen, ...tls } }
}
