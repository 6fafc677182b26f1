/**
 * Who opened a connection that a host hands on to a gateway: said in front of its bytes, as version 2 of the PROXY protocol
 * has it, of which only TCP over IPv6 is spoken. Source: HAProxy, proxy-protocol.txt, section 2.2.
 */
import type { Socket } from 'node:net'
import { stringifyIp } from 'ip-bigint'
import { startDeadline } from '#base'
import { Net6Error } from '../errors.ts'
import { ipv6Bytes } from '../six-pn-address.ts'

export interface Endpoint {
  readonly address: string
  readonly port: number
}

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
/** Version 2, command PROXY; AF_INET6, STREAM. */
const KIND = Buffer.from([0x21, 0x21])
const ADDRESSES_BYTES = 36
export const SOURCE_BYTES = SIGNATURE.length + KIND.length + 2 + ADDRESSES_BYTES
const READ_MS_MAX = 5_000

export function printSource(source: Endpoint, target: Endpoint): Buffer {
  const tail = Buffer.alloc(6)
  tail.writeUInt16BE(ADDRESSES_BYTES)
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(source.port)
  ports.writeUInt16BE(target.port, 2)
  const addresses = [ipv6Bytes(source.address), ipv6Bytes(target.address)]
  return Buffer.concat([SIGNATURE, KIND, tail.subarray(0, 2), ...addresses, ports])
}

/** @throws Net6Error net6.source_bad */
export function parseSource(bytes: Buffer): Endpoint {
  const lengthAt = SIGNATURE.length + KIND.length
  const isWhole =
    bytes.length === SOURCE_BYTES &&
    bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE) &&
    bytes.subarray(SIGNATURE.length, lengthAt).equals(KIND) &&
    bytes.readUInt16BE(lengthAt) === ADDRESSES_BYTES
  if (!isWhole) throw bad('it does not begin with who opened it')
  const number = BigInt(`0x${bytes.toString('hex', lengthAt + 2, lengthAt + 18)}`)
  const address = stringifyIp({ number, version: 6 })
  return { address, port: bytes.readUInt16BE(lengthAt + 34) }
}

/**
 * Takes the words off the front of a connection; what follows them is still to be read.
 *
 * @throws Net6Error net6.source_bad: something else came, or nothing; the socket is to be destroyed
 */
export async function readSource(socket: Socket, signal?: AbortSignal): Promise<Endpoint> {
  const options = signal === undefined ? {} : { signal }
  using deadline = startDeadline('the source of a connection', READ_MS_MAX, options)
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const look = () => {
    const bytes: Buffer | null = socket.read(SOURCE_BYTES)
    if (bytes !== null) resolve(bytes)
  }
  const fail = () => reject(bad('it ended before it said who opened it'))
  const late = () => reject(bad('it did not say who opened it in time'))
  socket.on('readable', look).once('end', fail).once('close', fail)
  deadline.signal.addEventListener('abort', late, { once: true })
  try {
    look()
    return parseSource(await promise)
  } finally {
    socket.off('readable', look).off('end', fail).off('close', fail)
    deadline.signal.removeEventListener('abort', late)
  }
}

const bad = (why: string) =>
  new Net6Error('net6.source_bad', {
    what: 'a connection from a host makes no sense',
    values: { why },
    fix: 'only hosts may connect here, as the network hands on what machines ask of it',
  })
