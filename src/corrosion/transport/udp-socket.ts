import { createSocket, type RemoteInfo } from 'node:dgram'
import { once } from 'node:events'
import { parseSocketAddress } from '../wire/socket-address.ts'
import { addressBad, TransportError } from './errors.ts'

export interface UdpSocket {
  readonly host: string
  readonly port: number
  send(packet: Buffer, host: string, port: number): void
  close(): void
}

export interface UdpHandlers {
  /** The packet belongs to the handler. */
  received(packet: Buffer, from: RemoteInfo): void
  /** A packet could not be sent: as good as lost. */
  sendFailed(error: Error): void
}

/** The kernel gives what it allows. A burst of a whole cluster must fit. */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024

/** `ip:port`, of which port 0 is any that is free. @throws TransportError transport.address_bad */
export function parseListen(text: string) {
  const isAnyPort = text.endsWith(':0')
  const parsed = parseSocketAddress(isAnyPort ? text.replace(/0$/, '1') : text)
  if (parsed !== undefined) return { ...parsed, port: isAnyPort ? 0 : parsed.port }
  throw addressBad(text)
}

/** @throws TransportError transport.address_bad: the address is not of this machine, or is taken. */
export async function openUdpSocket(
  { host, port, family }: { host: string; port: number; family: 4 | 6 },
  handlers: UdpHandlers,
): Promise<UdpSocket> {
  const socket = createSocket({
    type: family === 4 ? 'udp4' : 'udp6',
    ipv6Only: family === 6, // an IPv4 peer in IPv6 clothes would have two addresses
    recvBufferSize: SOCKET_BUFFER_BYTES,
    sendBufferSize: SOCKET_BUFFER_BYTES,
    // Addresses only: without this each packet takes a turn through the resolver.
    lookup: (name, _options, done) => done(null, name, family),
  })
  try {
    const listening = once(socket, 'listening') // which may come before `bind` returns
    socket.bind(port, host)
    await listening
  } catch (cause) {
    socket.close()
    throw new TransportError('transport.address_bad', {
      what: 'the address for the cluster cannot be bound',
      values: { host, port },
      fix: 'give an address of this machine, and a UDP port that nobody else has',
      cause,
    })
  }
  socket.on('message', handlers.received)
  socket.on('error', handlers.sendFailed)
  const bound = socket.address()
  return {
    host: bound.address,
    port: bound.port,
    send: (packet, to, toPort) => socket.send(packet, toPort, to),
    close: () => socket.close(),
  }
}
