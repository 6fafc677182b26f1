import type { Caller } from './directory/directory.ts'
import { PreparedReplies } from './prepared-replies.ts'
import type { Upstream } from './upstream/upstream.ts'
import { HEADER_BYTES, RCODE, TYPE } from './wire/constants.ts'
import { parseQuery, type Query } from './wire/query.ts'
import {
  type Answer,
  badVersion,
  type Channel,
  failure,
  replyBytesMax,
  writeFailure,
  writeReply,
} from './wire/reply.ts'
import type { InternalZone } from './zone/internal-zone.ts'
import type { PublicZone } from './zone/public-zone.ts'

/**
 * What a server does with a packet: a reply now, a reply later, or nothing. The packet is the server's own memory and good
 * until the handler returns; a reply that comes at once is the handler's, good until it is called again.
 */
export type Handler = (
  packet: Buffer,
  source: string,
  channel: Channel,
) => Buffer | Promise<Buffer> | undefined

export interface ResolverOptions {
  readonly zone: InternalZone
  /** Whose address is that? Undefined: nobody's, refused. */
  readonly callerOf: (source: string) => Caller | undefined
  readonly upstream?: Upstream
  /** False while rows are still being read for the first time: a name that is not there may exist. @default always */
  readonly isReady?: () => boolean
}

const always = () => true

/** For machines and peers: their own network's names from memory, all others by the upstreams. */
export function resolver(options: ResolverOptions): Handler {
  const { zone, callerOf, upstream, isReady = always } = options
  const prepared = new PreparedReplies()
  const handle = handler((packet, query, source, channel) => {
    if (!isReady()) return failure(RCODE.SERVFAIL)
    const caller = callerOf(source)
    if (caller === undefined) return failure(RCODE.REFUSED)
    const answer = zone.answer(caller, query.labels, query.type, query.class)
    if (answer !== undefined) {
      const reply = writeReply(packet, query, answer, channel)
      if (channel === 'udp') prepared.keep({ packet, query, source }, caller, reply)
      return reply
    }
    if (upstream === undefined || !query.isRecursionDesired) return failure(RCODE.REFUSED)
    const kept = Buffer.from(packet)
    return upstream.ask(kept, query).then(
      (response) => fitted(kept, query, response, channel),
      () => writeReply(kept, query, failure(RCODE.SERVFAIL), channel),
    )
  })
  return (packet, source, channel) => {
    const known = channel === 'udp' ? prepared.find(packet, source, zone.version) : undefined
    return known ?? handle(packet, source, channel)
  }
}

/** For the public: the operator's zone and nothing else. */
export function authority(zone: PublicZone, isReady: () => boolean = always): Handler {
  const handle = handler((_packet, query) =>
    isReady() ? zone.answer(query.labels, query.type, query.class) : failure(RCODE.SERVFAIL),
  )
  return (packet, source, channel) => {
    const reply = handle(packet, source, channel)
    if (Buffer.isBuffer(reply)) reply[3] = (reply[3] as number) & 0x7f // no recursion here: RA is not set
    return reply
  }
}

function handler(
  answerOf: (
    packet: Buffer,
    query: Query,
    source: string,
    channel: Channel,
  ) => Answer | Buffer | Promise<Buffer>,
): Handler {
  return (packet, source, channel) => {
    const query = parseQuery(packet)
    if (query.kind === 'unanswerable') {
      return query.rcode === undefined ? undefined : writeFailure(packet, query.rcode)
    }
    if (query.edns !== undefined && query.edns.version !== 0) {
      return writeReply(packet, query, badVersion, channel)
    }
    const answer = answerOf(packet, query, source, channel)
    const isWritten = Buffer.isBuffer(answer) || answer instanceof Promise
    return isWritten ? answer : writeReply(packet, query, answer, channel)
  }
}

/** An upstream's response, cut to the question with TC when the client takes less, without OPT if it sent none. */
function fitted(packet: Buffer, query: Query, response: Buffer, channel: Channel): Buffer {
  const plain = query.edns === undefined ? withoutOpt(response) : response
  if (plain.length <= replyBytesMax(query, channel)) return plain
  const cut = writeReply(packet, query, failure(plain.readUInt16BE(2) & 0xf), channel)
  cut.writeUInt16BE(cut.readUInt16BE(2) | 0x0200, 2)
  return cut
}

/** Resolvers put OPT last; one that stands elsewhere is left. */
function withoutOpt(response: Buffer): Buffer {
  const additional = response.readUInt16BE(10)
  const at = response.length - 11
  const isLast = additional > 0 && at > HEADER_BYTES && response[at] === 0
  if (!isLast || response.readUInt16BE(at + 1) !== TYPE.OPT) return response
  const plain = Buffer.from(response.subarray(0, at))
  plain.writeUInt16BE(additional - 1, 10)
  return plain
}
