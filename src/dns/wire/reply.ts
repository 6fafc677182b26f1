import {
  CLASS_IN,
  HEADER_BYTES,
  RCODE,
  TCP_BYTES_MAX,
  TYPE,
  UDP_EDNS_BYTES,
  UDP_PLAIN_BYTES,
} from './constants.ts'
import type { Query } from './query.ts'

/** A record whose owner is the question's name or a zone above it. */
export interface ResourceRecord {
  readonly type: number
  readonly ttlSeconds: number
  readonly data: Uint8Array
  /** The owner is the question's last so many labels. @default all */
  readonly ownerLabels?: number
}

export interface Answer {
  readonly rcode: number
  readonly isAuthoritative: boolean
  readonly answers: readonly ResourceRecord[]
  readonly authority: readonly ResourceRecord[]
}

export type Channel = 'udp' | 'tcp'

const OPT_BYTES = 11
const scratch = Buffer.allocUnsafe(TCP_BYTES_MAX)

/** Bytes that the asker takes in one reply. */
export function replyBytesMax(query: Query, channel: Channel): number {
  if (channel === 'tcp') return TCP_BYTES_MAX
  const wanted = query.edns?.udpBytes ?? UDP_PLAIN_BYTES
  return Math.min(Math.max(wanted, UDP_PLAIN_BYTES), UDP_EDNS_BYTES)
}

/**
 * The reply to a query. The question is echoed byte for byte (a client may check its letters' case), owners are
 * pointers to it. Records that do not fit are left out and TC is set (RFC 2181, section 9).
 */
export function writeReply(packet: Buffer, query: Query, answer: Answer, channel: Channel): Buffer {
  const max = replyBytesMax(query, channel) - (query.edns === undefined ? 0 : OPT_BYTES)
  packet.copy(scratch, 0, 0, query.questionEnd)
  let at = query.questionEnd
  let isTruncated = false
  const put = (records: readonly ResourceRecord[]): number => {
    let written = 0
    for (const record of records) {
      const end = at + 12 + record.data.length
      if (end > max) {
        isTruncated = true
        break
      }
      putRecord(at, query, record)
      at = end
      written += 1
    }
    return written
  }
  const answers = put(answer.answers)
  const authority = isTruncated ? 0 : put(answer.authority)
  if (query.edns !== undefined) at = putOpt(at, answer.rcode)
  const aa = answer.isAuthoritative ? 0x0400 : 0
  const tc = isTruncated ? 0x0200 : 0
  const kept = packet.readUInt16BE(2) & 0x0110 // RD and CD as asked
  scratch.writeUInt16BE(0x8000 | kept | aa | tc | 0x0080 | (answer.rcode & 0xf), 2)
  scratch.writeUInt16BE(answers, 6)
  scratch.writeUInt16BE(authority, 8)
  scratch.writeUInt16BE(query.edns === undefined ? 0 : 1, 10)
  return Buffer.from(scratch.subarray(0, at))
}

/** A reply without records to a packet that may hold no question. */
export function writeFailure(packet: Buffer, rcode: number): Buffer {
  const reply = Buffer.alloc(HEADER_BYTES)
  packet.copy(reply, 0, 0, 2)
  reply.writeUInt16BE(0x8000 | (packet.readUInt16BE(2) & 0x7900) | rcode, 2)
  return reply
}

export const failure = (rcode: number): Answer => ({
  rcode,
  isAuthoritative: false,
  answers: [],
  authority: [],
})

export const badVersion = failure(RCODE.BADVERS)

function putRecord(at: number, query: Query, record: ResourceRecord): void {
  scratch.writeUInt16BE(0xc000 | ownerOffset(query, record.ownerLabels), at)
  scratch.writeUInt16BE(record.type, at + 2)
  scratch.writeUInt16BE(CLASS_IN, at + 4)
  scratch.writeUInt32BE(record.ttlSeconds, at + 6)
  scratch.writeUInt16BE(record.data.length, at + 10)
  scratch.set(record.data, at + 12)
}

function ownerOffset({ labels }: Query, owned: number | undefined): number {
  let offset = HEADER_BYTES
  const skipped = owned === undefined ? 0 : labels.length - owned
  for (let at = 0; at < skipped; at += 1) offset += 1 + (labels[at] as string).length
  return offset
}

function putOpt(at: number, rcode: number): number {
  scratch.fill(0, at, at + OPT_BYTES)
  scratch.writeUInt16BE(TYPE.OPT, at + 1)
  scratch.writeUInt16BE(UDP_EDNS_BYTES, at + 3)
  scratch[at + 5] = rcode >> 4
  return at + OPT_BYTES
}
