import type { ToMachine, ToRemote } from '../route.ts'
import type { BackendConnection } from './backend-connection.ts'
import type { Engine } from './engine.ts'
import type { HttpFacts } from './request-facts.ts'

/**
 * A new connection to where a request goes; see BackendPool.takeIdle for those that are there already.
 * @returns the code of what failed at once
 */
export function openBackend(
  { backends, h2c }: Engine,
  to: ToMachine | ToRemote,
  facts: HttpFacts,
): BackendConnection | 'PU03' | 'PC06' {
  const opened =
    to.protocol === 'h2c'
      ? h2c.connect(to, facts)
      : to.kind === 'remote'
        ? backends.connectRemote(to, facts)
        : backends.connect(to.address, to.port)
  if (opened === undefined) return 'PU03'
  return typeof opened === 'number' ? 'PC06' : opened
}
