import { createServer, type Socket } from 'node:net'
import type { Handler } from '../resolver.ts'
import type { Endpoint } from '../upstream/exchange.ts'
import { guarded } from './guard.ts'
import { listenFailed } from './listen-failed.ts'
import type { Listener } from './udp.ts'

export interface TcpLimits {
  /** @default 1000 */
  readonly connectionsMax?: number
  /** @default 20 */
  readonly connectionsPerClient?: number
  /** A connection without a whole message for so long is closed (RFC 7766, section 6.2.3). @default 10000 */
  readonly idleMs?: number
  /** What a handler threw: a fault of this program. */
  readonly onFault?: (error: unknown) => void
}

/** Bytes of answers that a client may leave unread. */
const UNREAD_BYTES_MAX = 1 << 20
/** Questions of one connection that wait for upstreams at once. */
const WAITING_MAX = 64

/** Answers connections at `at` until disposed. @throws DnsError dns.listen_failed */
export async function listenTcp(
  at: Endpoint,
  handler: Handler,
  limits: TcpLimits = {},
): Promise<Listener> {
  const { connectionsMax = 1000, connectionsPerClient = 20, idleMs = 10_000 } = limits
  const handle = guarded(handler, limits.onFault ?? (() => undefined))
  const sockets = new Set<Socket>()
  const perClient = new Map<string, number>()
  const server = createServer({ noDelay: true }, (socket) => {
    const client = socket.remoteAddress ?? ''
    const count = perClient.get(client) ?? 0
    if (client === '' || count >= connectionsPerClient) return void socket.destroy()
    perClient.set(client, count + 1)
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      sockets.delete(socket)
      const left = (perClient.get(client) ?? 1) - 1
      if (left === 0) perClient.delete(client)
      else perClient.set(client, left)
    })
    serve(socket, client, handle, idleMs)
  })
  server.maxConnections = connectionsMax
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(at.port, at.address, resolve)
  try {
    await promise
  } catch (cause) {
    throw listenFailed(at, 'tcp', cause)
  }
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : at.port,
    [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      return new Promise((done) => server.close(() => done()))
    },
  }
}

function serve(socket: Socket, client: string, handle: Handler, idleMs: number): void {
  let received: Buffer = Buffer.alloc(0)
  let waiting = 0
  let timer = setTimeout(() => socket.destroy(), idleMs)
  socket.on('close', () => clearTimeout(timer))
  const send = (reply: Buffer) => {
    if (socket.destroyed) return
    const framed = Buffer.allocUnsafe(2 + reply.length) // one write: some clients read once
    framed.writeUInt16BE(reply.length)
    reply.copy(framed, 2)
    socket.write(framed)
    if (socket.writableLength > UNREAD_BYTES_MAX) socket.destroy()
  }
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
    while (received.length >= 2 && !socket.destroyed) {
      const end = 2 + received.readUInt16BE(0)
      if (received.length < end) break
      clearTimeout(timer)
      timer = setTimeout(() => socket.destroy(), idleMs)
      const reply = handle(received.subarray(2, end), client, 'tcp')
      received = received.subarray(end)
      if (reply === undefined || waiting >= WAITING_MAX) return void socket.destroy()
      if (!(reply instanceof Promise)) send(reply)
      else {
        waiting += 1
        reply.then(send).finally(() => {
          waiting -= 1
        })
      }
    }
  })
}
