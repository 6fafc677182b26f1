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

/** A record whose owner is a name that stands in the data of an answer. */
export interface AdditionalRecord {
  readonly type: number
  readonly ttlSeconds: number
  readonly data: Uint8Array
  /** Which of the answers, and where in its data the name begins. */
  readonly owner: { readonly answer: number; readonly at: number }
}

export interface Answer {
  readonly rcode: number
  readonly isAuthoritative: boolean
  readonly answers: readonly ResourceRecord[]
  readonly authority: readonly ResourceRecord[]
  /** What may be left out for want of room. @default none */
  readonly additional?: readonly AdditionalRecord[]
}

export type Channel = 'udp' | 'tcp'

const OPT_BYTES = 11
/** Of a record whose owner is a pointer, without its data. */
const RECORD_BYTES = 12
/** The farthest place that a pointer reaches (RFC 1035, section 4.1.4). */
const POINTER_MAX = 0x3fff
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
      const end = at + RECORD_BYTES + record.data.length
      if (end > max) {
        isTruncated = true
        break
      }
      putRecord(at, ownerOffset(query, record.ownerLabels), record)
      at = end
      written += 1
    }
    return written
  }
  const answersAt = at
  const answers = put(answer.answers)
  const authority = isTruncated ? 0 : put(answer.authority)
  let additional = 0
  if (answer.additional !== undefined && !isTruncated) {
    for (const record of answer.additional) {
      const owner = nameOffset(answersAt, answer.answers, record.owner)
      const end = at + RECORD_BYTES + record.data.length
      if (end > max || owner > POINTER_MAX) break
      putRecord(at, owner, record)
      at = end
      additional += 1
    }
  }
  if (query.edns !== undefined) at = putOpt(at, answer.rcode)
  const aa = answer.isAuthoritative ? 0x0400 : 0
  const tc = isTruncated ? 0x0200 : 0
  const kept = packet.readUInt16BE(2) & 0x0110 // RD and CD as asked
  scratch.writeUInt16BE(0x8000 | kept | aa | tc | 0x0080 | (answer.rcode & 0xf), 2)
  scratch.writeUInt16BE(answers, 6)
  scratch.writeUInt16BE(authority, 8)
  scratch.writeUInt16BE(additional + (query.edns === undefined ? 0 : 1), 10)
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

function putRecord(
  at: number,
  owner: number,
  record: Pick<ResourceRecord, 'type' | 'ttlSeconds' | 'data'>,
): void {
  scratch.writeUInt16BE(0xc000 | owner, at)
  scratch.writeUInt16BE(record.type, at + 2)
  scratch.writeUInt16BE(CLASS_IN, at + 4)
  scratch.writeUInt32BE(record.ttlSeconds, at + 6)
  scratch.writeUInt16BE(record.data.length, at + 10)
  scratch.set(record.data, at + 12)
}

/** Where in the reply a name within the data of one of the answers stands; all answers were written. */
function nameOffset(
  answersAt: number,
  answers: readonly ResourceRecord[],
  owner: AdditionalRecord['owner'],
): number {
  let offset = answersAt + RECORD_BYTES + owner.at
  for (let at = 0; at < owner.answer; at += 1) {
    offset += RECORD_BYTES + (answers[at] as ResourceRecord).data.length
  }
  return offset
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
