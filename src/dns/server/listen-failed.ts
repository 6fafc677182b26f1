import { DnsError } from '../errors.ts'
import type { Endpoint } from '../upstream/exchange.ts'

export function listenFailed({ address, port }: Endpoint, over: string, cause: unknown): DnsError {
  return new DnsError('dns.listen_failed', {
    what: 'cannot listen',
    values: { address, port, over },
    fix: 'see that the address is of this host and that nothing else serves DNS there',
    cause,
  })
}
