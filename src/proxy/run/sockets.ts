import { close } from '../net/libc.ts'
import { openListener } from '../net/socket.ts'

/** A listening socket that processes hand to each other. */
export interface ListeningSocket {
  readonly address: string
  readonly port: number
  readonly fd: number
}

/** Names the sockets that a process was born with: JSON of ListeningSocket. */
export const SOCKETS_VARIABLE = 'GODWIT_PROXY_SOCKETS'

/**
 * The sockets for these addresses and ports: those that were inherited, and new ones for the rest. Those
 * that nobody wants any more are closed.
 * @throws ProxyError proxy.listen_failed
 */
export function claimSockets(
  wanted: readonly { address: string; port: number }[],
  inherited: readonly ListeningSocket[],
): ListeningSocket[] {
  const claimed = wanted.map(({ address, port }) => {
    const known = inherited.find((one) => one.address === address && one.port === port)
    return known ?? { address, port, fd: openListener(address, port) }
  })
  for (const one of inherited) if (!claimed.includes(one)) close(one.fd)
  return claimed
}

export const inheritedSockets = (env: NodeJS.ProcessEnv): ListeningSocket[] =>
  JSON.parse(env[SOCKETS_VARIABLE] ?? '[]') as ListeningSocket[]
