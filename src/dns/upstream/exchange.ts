import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { DnsError } from '../errors.ts'
import { HEADER_BYTES, TCP_BYTES_MAX } from '../wire/constants.ts'
import { skipName } from '../wire/names.ts'

export interface Endpoint {
  readonly address: string
  readonly port: number
}

/**
 * One question over UDP from a socket of its own, so that the source port is as random as the kernel makes it
 * (RFC 5452, section 9.2), and over TCP when the answer was cut. Packets that do not match id and question are
 * passed over. @throws DnsError dns.upstream_failed, the signal's reason
 */
export async function exchange(to: Endpoint, query: Buffer, signal: AbortSignal): Promise<Buffer> {
  const response = await overUdp(to, query, signal)
  const isTruncated = (response.readUInt16BE(2) & 0x0200) !== 0
  return isTruncated ? overTcp(to, query, signal) : response
}

function overUdp(to: Endpoint, query: Buffer, signal: AbortSignal): Promise<Buffer> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const socket = createSocket(to.address.includes(':') ? 'udp6' : 'udp4')
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  socket.on('error', (cause) => reject(failed(to, cause)))
  socket.on('message', (message) => {
    if (isAnswerTo(query, message)) resolve(message)
  })
  socket.connect(to.port, to.address, () => socket.send(query))
  return promise.finally(() => {
    signal.removeEventListener('abort', abort)
    socket.close()
  })
}

function overTcp(to: Endpoint, query: Buffer, signal: AbortSignal): Promise<Buffer> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const socket = connect({ host: to.address, port: to.port })
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  let received: Buffer = Buffer.alloc(0)
  socket.on('error', (cause) => reject(failed(to, cause)))
  socket.on('close', () => reject(failed(to)))
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    if (received.length > TCP_BYTES_MAX + 2) return reject(failed(to))
    const length = received.length < 2 ? Infinity : received.readUInt16BE(0)
    if (received.length < 2 + length) return
    const message = received.subarray(2, 2 + length)
    if (isAnswerTo(query, message)) resolve(message)
    else reject(failed(to))
  })
  const length = Buffer.alloc(2)
  length.writeUInt16BE(query.length)
  socket.write(Buffer.concat([length, query]))
  return promise.finally(() => {
    signal.removeEventListener('abort', abort)
    socket.destroy()
  })
}

/** Same id, a response, and the question byte for byte (letters' case included). */
export function isAnswerTo(query: Buffer, message: Buffer): boolean {
  const end = skipName(query, HEADER_BYTES) + 4
  if (message.length < end || message.readUInt16BE(0) !== query.readUInt16BE(0)) return false
  const isResponse = ((message[2] as number) & 0x80) !== 0 && message.readUInt16BE(4) === 1
  return isResponse && message.compare(query, HEADER_BYTES, end, HEADER_BYTES, end) === 0
}

function failed({ address, port }: Endpoint, cause?: unknown): DnsError {
  return new DnsError('dns.upstream_failed', {
    what: 'an upstream did not answer',
    values: { address, port },
    ...(cause === undefined ? {} : { cause }),
  })
}
