import { isIP } from 'node:net'
import { DnsError } from '../errors.ts'
import type { Endpoint } from '../upstream/exchange.ts'

/** `192.0.2.1:53` or `[2001:db8::1]:53`. @throws DnsError dns.endpoint_bad */
export function parseEndpoint(text: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text)
  const address = match?.[1] ?? match?.[2] ?? ''
  const port = Number(match?.[3])
  if (isIP(address) === 0 || !(port <= 65_535)) {
    throw new DnsError('dns.endpoint_bad', {
      what: 'not an address with a port',
      values: { text },
      fix: 'write one like 127.0.0.1:53 or [fdaa::3]:53',
    })
  }
  return { address, port }
}
