import type { BackhaulDialer, BackhaulStream } from '../backhaul/dialer.ts'
import type { StreamHandlers } from '../backhaul/link-stream.ts'
import type { OpenFacts } from '../backhaul/open-facts.ts'
import type { ToRemote } from '../route.ts'
import { MachineLease } from './machine-lease.ts'

/** What the data plane knows of the client. */
export type ClientFacts = Pick<
  OpenFacts,
  | 'clientAddress'
  | 'clientPort'
  | 'localAddress'
  | 'tlsVersion'
  | 'serverName'
  | 'alpn'
  | 'requestId'
>

/**
 * Opens the stream of a decision that leads to another host, and may be sent to at once. A refusal is the lease's
 * `refused` (or `connect-failed`, for codes that begin with PC): no byte has reached a machine. Loads that the worker
 * tells on the way go into the next choice.
 *
 * @returns undefined: no way to the host at present, which is `connect-failed`
 */
export function openRemote(
  dialer: BackhaulDialer,
  decision: ToRemote,
  client: ClientFacts,
  handlers: StreamHandlers,
): BackhaulStream | undefined {
  const { lease } = decision
  if (!(lease instanceof MachineLease)) throw new TypeError('a decision of another router')
  const { service, route, hasAlternatives } = lease
  const facts: OpenFacts = {
    ...client,
    machine: decision.machine,
    internalPort: decision.port,
    publicPort: route.port,
    isHttp: decision.protocol !== 'tcp',
    hasAlternatives,
  }
  return dialer.open(decision.host, decision.address, facts, {
    data: (chunk) => handlers.data(chunk),
    ended: (isReusable) => handlers.ended(isReusable),
    reset: (reason) => handlers.reset(reason),
    drained: () => handlers.drained(),
    leaving: () => handlers.leaving?.(),
    accepted(load, connectUs) {
      service.told(load)
      handlers.accepted?.(load, connectUs)
    },
    refused(code, load) {
      if (load > 0) service.told(load)
      handlers.refused?.(code, load)
    },
  })
}
