import { HEADER_BYTES, RCODE, TYPE } from './constants.ts'
import { type Labels, skipName } from './names.ts'

/** A client's question, with what its reply needs. */
export interface Query {
  readonly kind: 'query'
  readonly labels: Labels
  readonly type: number
  readonly class: number
  /** Where the question ends in the packet. */
  readonly questionEnd: number
  readonly isRecursionDesired: boolean
  /** RFC 6891; undefined: the client sent no OPT. Its options (cookies) are ignored. */
  readonly edns: { readonly udpBytes: number; readonly version: number } | undefined
}

/** What cannot be answered: `rcode` is told to the sender, who gets nothing when it is undefined. */
export interface Unanswerable {
  readonly kind: 'unanswerable'
  readonly rcode: number | undefined
}

const DROP: Unanswerable = { kind: 'unanswerable', rcode: undefined }
const FORMAT_ERROR: Unanswerable = { kind: 'unanswerable', rcode: RCODE.FORMERR }
const NOT_IMPLEMENTED: Unanswerable = { kind: 'unanswerable', rcode: RCODE.NOTIMP }

/**
 * Reads a query. A question's name holds no pointers here: nothing stands before it that one could point to.
 * Responses and packets without a header are dropped, so that two servers never talk in circles.
 */
export function parseQuery(packet: Buffer): Query | Unanswerable {
  if (packet.length < HEADER_BYTES) return DROP
  const flags = packet.readUInt16BE(2)
  if ((flags & 0x8000) !== 0) return DROP
  if ((flags & 0x7800) !== 0) return NOT_IMPLEMENTED
  const isOneQuestion = packet.readUInt16BE(4) === 1
  if (!isOneQuestion || packet.readUInt32BE(6) !== 0) return FORMAT_ERROR
  const labels: string[] = []
  const nameEnd = readLabels(packet, labels)
  if (nameEnd < 0 || nameEnd + 4 > packet.length) return FORMAT_ERROR
  const edns = readEdns(packet, nameEnd + 4, packet.readUInt16BE(10))
  if (edns === 'bad') return FORMAT_ERROR
  return {
    kind: 'query',
    labels,
    type: packet.readUInt16BE(nameEnd),
    class: packet.readUInt16BE(nameEnd + 2),
    questionEnd: nameEnd + 4,
    isRecursionDesired: (flags & 0x0100) !== 0,
    edns,
  }
}

function readLabels(packet: Buffer, into: string[]): number {
  const end = skipName(packet, HEADER_BYTES)
  if (end < 0 || end - HEADER_BYTES > 255) return -1
  let at = HEADER_BYTES
  for (;;) {
    const length = packet[at] as number
    if (length === 0) return at + 1
    if (length >= 0xc0) return -1
    into.push(packet.toString('latin1', at + 1, at + 1 + length).toLowerCase())
    at += 1 + length
  }
}

/** OPT among `count` additional records; anything else there is passed over. */
function readEdns(packet: Buffer, start: number, count: number): Query['edns'] | 'bad' {
  let edns: Query['edns']
  let at = start
  for (let seen = 0; seen < count; seen += 1) {
    const nameEnd = skipName(packet, at)
    if (nameEnd < 0 || nameEnd + 10 > packet.length) return 'bad'
    const end = nameEnd + 10 + packet.readUInt16BE(nameEnd + 8)
    if (end > packet.length) return 'bad'
    if (packet.readUInt16BE(nameEnd) === TYPE.OPT) {
      if (edns !== undefined || nameEnd !== at + 1) return 'bad'
      edns = { udpBytes: packet.readUInt16BE(nameEnd + 2), version: packet[nameEnd + 5] as number }
    }
    at = end
  }
  return edns
}
