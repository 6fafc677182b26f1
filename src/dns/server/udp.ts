import { systemClock } from '#base'
import type { Handler } from '../resolver.ts'
import type { Endpoint } from '../upstream/exchange.ts'
import { ClientLimits } from './client-limits.ts'
import { DatagramSocket } from './datagrams.ts'
import { guarded, serverFailure } from './guard.ts'
import { watchReadable } from './readiness.ts'
import { AddressTexts } from './socket-address.ts'

export interface Listener extends AsyncDisposable {
  readonly port: number
}

export interface UdpListener extends Listener {
  /** Replies that the kernel did not take: their clients ask again. */
  readonly unsent: number
}

export interface UdpOptions {
  readonly limits?: ClientLimits
  /** What a handler threw: a fault of this program. */
  readonly onFault?: (error: unknown) => void
}

/** Answers datagrams at `at` until disposed. @throws DnsError dns.listen_failed, dns.watch_failed */
export async function listenUdp(
  at: Endpoint,
  handler: Handler,
  options: UdpOptions = {},
): Promise<UdpListener> {
  const { limits = new ClientLimits({ clock: systemClock }), onFault = () => undefined } = options
  const handle = guarded(handler, onFault)
  const socket = new DatagramSocket(at)
  const texts = new AddressTexts(socket.family)
  let isOpen = true

  const take = (packet: Buffer, sender: Buffer) => {
    const source = texts.of(sender)
    const client = limits.admit(source)
    if (client === undefined) return
    const reply = handle(packet, source, 'udp')
    if (reply === undefined) return
    if (!(reply instanceof Promise)) socket.queue(reply, sender)
    else if (client.waiting >= limits.waitingMax) {
      reply.catch(() => undefined) // its answer comes to the cache
      socket.queue(serverFailure(packet, 'udp'), sender)
    } else {
      client.waiting += 1
      const to = Buffer.from(sender)
      reply
        .then((late) => send(late, to))
        .finally(() => {
          client.waiting -= 1
        })
    }
  }
  const send = (reply: Buffer, to: Buffer) => {
    if (!isOpen) return
    socket.queue(reply, to)
    socket.flush()
  }
  const watch = watchReadable(socket.fd, () => {
    try {
      socket.receive(take)
    } catch (error) {
      onFault(error)
    }
  })
  return {
    port: socket.port,
    get unsent() {
      return socket.unsent
    },
    async [Symbol.asyncDispose]() {
      isOpen = false
      watch[Symbol.dispose]()
      socket[Symbol.dispose]()
    },
  }
}
