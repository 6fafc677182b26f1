/**
 * A datagram between two proxies, over UDP within the mesh. Integers are big-endian.
 *
 *   offset  size  field
 *   0       1     kind      DatagramKind
 *   1       4, 2  client    IPv4 address and port
 *   7       4, 2  service   IPv4 address and port that the client sent to
 *   13      1     length    of the machine's id
 *   14      n     machine   its id
 *   14 + n  m     payload   none where it is refused
 *
 * It carries who sent what to whom, so that neither side asks the other before the first datagram.
 */
import type { Endpoint } from './endpoint.ts'

export const DatagramKind = {
  /** From a client to a machine. */
  toMachine: 1,
  /** Its answer. */
  toClient: 2,
  /** The machine is not to be had there: choose another. */
  refused: 3,
} as const
export type DatagramKind = (typeof DatagramKind)[keyof typeof DatagramKind]

export interface DatagramHead {
  readonly kind: DatagramKind
  readonly client: Endpoint
  readonly service: Endpoint
  readonly machine: string
}

const FIXED_BYTES = 14
const MACHINE_BYTES_MAX = 32
/** Room that a head needs before a payload. */
export const HEAD_BYTES_MAX = FIXED_BYTES + MACHINE_BYTES_MAX
/**
 * Payload of one datagram. What the mesh takes in one packet (1,420), without the headers of IPv6 and UDP (48), ours (28),
 * and some room. Source: private-network facts, "plan for 1,300".
 */
export const DATAGRAM_BYTES_MAX = 1_340

/** Writes the head so that it ends at `end`. @returns where it begins; undefined: there is no room for that id */
export function writeHead(bytes: Buffer, end: number, head: DatagramHead): number | undefined {
  const { kind, client, service, machine } = head
  const length = Buffer.byteLength(machine)
  const start = end - FIXED_BYTES - length
  if (length > MACHINE_BYTES_MAX || start < 0) return undefined
  bytes[start] = kind
  bytes.writeUInt32BE(client.ip, start + 1)
  bytes.writeUInt16BE(client.port, start + 5)
  bytes.writeUInt32BE(service.ip, start + 7)
  bytes.writeUInt16BE(service.port, start + 11)
  bytes[start + 13] = length
  bytes.write(machine, start + FIXED_BYTES, 'latin1')
  return start
}

export interface ReadDatagram extends DatagramHead {
  /** Where the payload begins. */
  readonly payloadAt: number
}

/** @returns undefined for what no proxy sends */
export function readHead(bytes: Buffer, start: number, end: number): ReadDatagram | undefined {
  if (end - start < FIXED_BYTES) return undefined
  const kind = bytes[start] as number
  const payloadAt = start + FIXED_BYTES + (bytes[start + 13] as number)
  if (kind < DatagramKind.toMachine || kind > DatagramKind.refused || payloadAt > end) {
    return undefined
  }
  return {
    kind: kind as DatagramKind,
    client: { ip: bytes.readUInt32BE(start + 1), port: bytes.readUInt16BE(start + 5) },
    service: { ip: bytes.readUInt32BE(start + 7), port: bytes.readUInt16BE(start + 11) },
    machine: bytes.toString('latin1', start + FIXED_BYTES, payloadAt),
    payloadAt,
  }
}
