import type { AddressInfo } from 'node:net'
import { createServer, type Server, type Socket } from 'node:net'
import { PLATFORM_LOGS_PORT } from '#net6'
import { type FeedOptions, LogFeed } from '#observe'
import type { ListeningServer } from '../listening-server.ts'
import { type AcceptOptions, acceptNetworks } from './accept-networks.ts'
import { type FeedAccessOptions, feedAccess } from './feed-access.ts'

export interface ServeFeedOptions extends Omit<AcceptOptions, 'serve'>, FeedAccessOptions {
  /** On the mesh. */
  readonly listen: { readonly host: string; readonly port: number }
  readonly link: FeedOptions['link']
}

/** Of the 1,000 that a gateway serves. */
const CLIENTS_OF_ORGANIZATION_MAX = 128

/**
 * The log stream for machines and devices inside organisations' networks, which speak NATS.
 *
 * @throws the system's error: the address is taken, or is not of this host
 */
export async function serveFeed(options: ServeFeedOptions): Promise<ListeningServer> {
  const { listen, link, clock, log } = options
  const feed = new LogFeed({ link, clock, log, port: PLATFORM_LOGS_PORT })
  const server = createServer()
  const accepting = acceptNetworks(server, {
    perOrganizationMax: CLIENTS_OF_ORGANIZATION_MAX,
    ...options,
    serve: (socket: Socket, source) => feed.serve(socket, feedAccess(source, options)),
  })
  await listening(server, listen)
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      accepting[Symbol.dispose]()
      const closed = new Promise((resolve) => server.close(resolve))
      feed[Symbol.dispose]()
      await closed
    },
  }
}

function listening(server: Server, { host, port }: ServeFeedOptions['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
}
