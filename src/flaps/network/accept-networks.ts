import type { Server, Socket } from 'node:net'
import type { Log } from '#base'
import { parseSixPn, readSource } from '#net6'
import type { NetworkSource } from './network-source.ts'

export interface AcceptOptions {
  readonly organizationOf: (networkId: number) => NetworkSource['organization'] | undefined
  /** Takes a connection over, from what follows the words about its source. */
  readonly serve: (socket: Socket, source: NetworkSource) => void
  /** Connections of one organisation, from all hosts. @default 1,024 */
  readonly perOrganizationMax?: number
  readonly log: Log
}

/** Of all hosts together; each host bounds those of its machines. */
const CONNECTIONS_MAX = 8_192
const PER_ORGANIZATION_MAX = 1_024

/**
 * Has a server take connections that hosts hand on from organisations' networks (PlatformRelay of net6), which begin with
 * who opened them. It is to listen on the mesh, where only hosts are. Disposing ends those that said nothing yet.
 */
export function acceptNetworks(server: Server, options: AcceptOptions): Disposable {
  const { serve, organizationOf, perOrganizationMax = PER_ORGANIZATION_MAX, log } = options
  const open = new Map<number, number>()
  const waiting = new Set<Socket>()
  server.maxConnections = CONNECTIONS_MAX
  server.on('connection', (socket: Socket) => {
    waiting.add(socket)
    const fail = () => socket.destroy()
    socket.on('error', fail)
    sourceOf(socket, organizationOf)
      .then((source) => {
        socket.off('error', fail)
        if (source === undefined || socket.destroyed) return void socket.destroy()
        const { numericId: id } = source.organization
        const count = open.get(id) ?? 0
        if (count >= perOrganizationMax) return void socket.destroy()
        open.set(id, count + 1)
        socket.once('close', () => {
          const left = (open.get(id) ?? 1) - 1
          if (left > 0) open.set(id, left)
          else open.delete(id)
        })
        serve(socket, source)
      })
      .catch((err: unknown) => {
        log.debug({ err }, 'a connection from a network is refused')
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
