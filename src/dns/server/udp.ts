import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { systemClock } from '#base'
import { DnsError } from '../errors.ts'
import type { Handler } from '../resolver.ts'
import type { Endpoint } from '../upstream/exchange.ts'
import { ClientLimits } from './client-limits.ts'
import { guarded, serverFailure } from './guard.ts'

export interface Listener extends AsyncDisposable {
  readonly port: number
}

export interface UdpOptions {
  readonly limits?: ClientLimits
  /** What a handler threw: a fault of this program. */
  readonly onFault?: (error: unknown) => void
}

const RECEIVE_BUFFER_BYTES = 1 << 20

/** Answers datagrams at `at` until disposed. @throws DnsError dns.listen_failed */
export async function listenUdp(
  at: Endpoint,
  handler: Handler,
  options: UdpOptions = {},
): Promise<Listener> {
  const { limits = new ClientLimits({ clock: systemClock }), onFault = () => undefined } = options
  const handle = guarded(handler, onFault)
  const socket = createSocket({ type: isIPv6(at.address) ? 'udp6' : 'udp4', reuseAddr: false })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let isOpen = true
  socket.once('error', reject)
  socket.bind(at.port, at.address, resolve)
  try {
    await promise
  } catch (cause) {
    throw listenFailed(at, 'udp', cause)
  }
  socket.off('error', reject)
  socket.on('error', () => undefined) // a reply that its host refuses says nothing about the next one
  socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES)
  socket.on('message', (packet, { address, port }) => {
    const send = (reply: Buffer) => {
      if (isOpen) socket.send(reply, port, address)
    }
    const client = limits.admit(address)
    if (client === undefined) return
    const reply = handle(packet, address, 'udp')
    if (!(reply instanceof Promise)) {
      if (reply !== undefined) send(reply)
    } else if (client.waiting >= limits.waitingMax) {
      reply.catch(() => undefined) // its answer comes to the cache
      send(serverFailure(packet, 'udp'))
    } else {
      client.waiting += 1
      reply.then(send).finally(() => {
        client.waiting -= 1
      })
    }
  })
  return {
    port: socket.address().port,
    [Symbol.asyncDispose]() {
      isOpen = false
      return new Promise((done) => socket.close(() => done()))
    },
  }
}

export function listenFailed({ address, port }: Endpoint, over: string, cause: unknown): DnsError {
  return new DnsError('dns.listen_failed', {
    what: 'cannot listen',
    values: { address, port, over },
    fix: 'see that the address is of this host and that nothing else serves DNS there',
    cause,
  })
}
