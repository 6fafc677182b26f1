import type { Server, Socket } from 'node:net'
import type { Log } from '#base'
import { parseSixPn, readSource } from '#net6'
import type { NetworkSource } from './network-source.ts'

export interface AcceptOptions {
  readonly organizationOf: (networkId: number) => NetworkSource['organization'] | undefined
  /** Takes a connection over, from what follows the words about its source. */
  readonly serve: (socket: Socket, source: NetworkSource) => void
  readonly log: Log
}

/** Of all hosts together; each host bounds those of its machines. */
const CONNECTIONS_MAX = 8_192

/**
 * Has a server take connections that hosts hand on from organisations' networks (PlatformRelay of net6), which begin with
 * who opened them. It is to listen on the mesh, where only hosts are. Disposing ends those that said nothing yet.
 */
export function acceptNetworks(server: Server, { serve, ...options }: AcceptOptions): Disposable {
  const waiting = new Set<Socket>()
  server.maxConnections = CONNECTIONS_MAX
  server.on('connection', (socket: Socket) => {
    waiting.add(socket)
    const fail = () => socket.destroy()
    socket.on('error', fail)
    sourceOf(socket, options.organizationOf)
      .then((source) => {
        socket.off('error', fail)
        if (source === undefined) socket.destroy()
        else serve(socket, source)
      })
      .catch((err: unknown) => {
        options.log.debug({ err }, 'a connection from a network is refused')
        socket.destroy()
      })
      .finally(() => waiting.delete(socket))
  })
  return {
    [Symbol.dispose]() {
      for (const socket of waiting) socket.destroy()
    },
  }
}

/** Undefined: nobody's network; it has neither apps nor devices. */
async function sourceOf(
  socket: Socket,
  organizationOf: AcceptOptions['organizationOf'],
): Promise<NetworkSource | undefined> {
  const { address } = await readSource(socket)
  const organization = organizationOf(parseSixPn(address).network)
  return organization && { address, organization }
}
