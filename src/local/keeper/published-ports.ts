import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { errorCode } from '#base'
import { LocalError } from '../errors.ts'
import type { PublishedPort } from '../machine-record.ts'

const CONNECTIONS_MAX = 1024
const CONNECT_MS = 10_000

/** Opens a connection to a port of the machine. */
export type DialMachine = (port: number) => Promise<Duplex>

/** Through the host, to the machine's own address. */
export function dialAddress(address: string): DialMachine {
  return async (port) => {
    const socket = connect({ host: address, port, allowHalfOpen: true })
    socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error('the machine does not answer')))
    await once(socket, 'connect')
    return socket.setTimeout(0)
  }
}

/**
 * Listens on the host for each port, and passes connections on. While nobody listens in the machine, a
 * connection is closed at once.
 *
 * @throws LocalError local.port_unusable
 */
export class PublishedPorts implements AsyncDisposable {
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Duplex>()

  static async open(ports: readonly PublishedPort[], dial: DialMachine): Promise<PublishedPorts> {
    const published = new PublishedPorts()
    try {
      for (const port of ports) await published.#listen(port, dial)
      return published
    } catch (error) {
      await published[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(
      this.#servers.map(async (server) => {
        server.close()
        if (server.listening) await once(server, 'close')
      }),
    )
  }

  async #listen({ address, hostPort, machinePort }: PublishedPort, dial: DialMachine) {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#keep(socket)
      dial(machinePort).then(
        (peer) => {
          this.#keep(peer)
          join(socket, peer)
        },
        () => socket.destroy(),
      )
    })
    server.maxConnections = CONNECTIONS_MAX
    server.listen(hostPort, address)
    try {
      await once(server, 'listening')
    } catch (cause) {
      throw new LocalError('local.port_unusable', {
        what: 'the port cannot be published',
        values: { address, port: hostPort, why: errorCode(cause) },
        fix: 'choose another: -p 8081:80',
        cause,
      })
    }
    server.on('error', () => undefined) // of one connection that could not be accepted
    this.#servers.push(server)
  }

  #keep(socket: Duplex): void {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#sockets.delete(socket))
  }
}

/** Bytes both ways, half closes too; the end of one that broke is the end of both. */
function join(socket: Socket, peer: Duplex): void {
  socket.pipe(peer)
  peer.pipe(socket)
  socket.on('close', () => peer.destroy())
  peer.on('close', () => {
    if (socket.readableEnded || !peer.readableEnded) socket.destroySoon()
  })
}
