import { stringify } from 'smol-toml'
import { AGENT_URL } from './corrosion-part.ts'
import { GODWIT, type PartOf, placesOf } from './derived-part.ts'

const OBSERVE = '127.0.0.1:9253'

/** Names for this host's machines, at an address that the network's part makes. */
export const dnsPart: PartOf = (config) => {
  const at = placesOf(config)
  const dns = {
    host_id: config.host,
    region: config.region.code,
    listen: ['[fdaa::3]:53', '[fdaa::4]:53'],
    observe: OBSERVE,
    admin: at.run('dns.sock'),
    corrosion: { url: AGENT_URL },
    upstream: { servers: config.dns.upstream },
  }
  const file = at.config('dns.toml')
  return {
    name: 'dns',
    command: GODWIT,
    args: ['dns', 'run', '-c', file],
    probe: { kind: 'http', url: `http://${OBSERVE}/healthz` },
    after: ['net', 'corrosion'],
    files: [{ path: file, text: stringify(dns) }],
  }
}
