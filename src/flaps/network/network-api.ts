import { createServer } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { type ListeningServer, listening } from '../listening-server.ts'
import { HTTP_LIMITS } from '../server.ts'
import { type AcceptOptions, acceptNetworks } from './accept-networks.ts'
import { rememberNetwork } from './network-source.ts'

export interface NetworkApiOptions extends Omit<AcceptOptions, 'serve'> {
  /** On the mesh. */
  readonly listen: { readonly host: string; readonly port: number }
}

/**
 * The API for machines and devices inside organisations' networks: plain HTTP, as the network seals it already. End
 * `fastify` first, which ends what only waits.
 */
export async function serveNetworkApi(
  fastify: FastifyInstance,
  { listen, ...options }: NetworkApiOptions,
): Promise<ListeningServer> {
  const server = createServer(HTTP_LIMITS, (request, response) =>
    fastify.routing(request, response),
  )
  server.on('upgrade', (...upgrade) => void fastify.server.emit('upgrade', ...upgrade))
  const [serveHttp] = server.listeners('connection')
  server.removeAllListeners('connection') // it reads the source first, then gives them back
  const accepting = acceptNetworks(server, {
    ...options,
    serve(socket, source) {
      rememberNetwork(socket, source)
      serveHttp?.call(server, socket)
    },
  })
  const running = await listening(server, listen, 'finish')
  return {
    port: running.port,
    async [Symbol.asyncDispose]() {
      accepting[Symbol.dispose]()
      await running[Symbol.asyncDispose]()
    },
  }
}
