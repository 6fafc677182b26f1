import type { Caller } from './directory/directory.ts'
import { HEADER_BYTES } from './wire/constants.ts'
import type { Query } from './wire/query.ts'

/** Replies of one caller by all bytes of the question but its id. */
type Replies = Map<string, Buffer>

/** Replies kept at once, of all callers together, and sources known. */
const REPLIES_MAX = 20_000
const SOURCES_MAX = 20_000
const ID_BYTES = 2
const BARE_OPT_BYTES = 11

/**
 * Whole UDP replies as they were written for equal questions of the same caller, good until the directory changes: what is
 * asked most is answered without a look at names, rows or records.
 */
export class PreparedReplies {
  readonly #bySource = new Map<string, Replies>()
  readonly #byCaller = new Map<string, Replies>()
  #version = -1
  #size = 0

  /** The reply with this packet's id; good until the next call. `version` is the directory's. HOT. */
  find(packet: Buffer, source: string, version: number): Buffer | undefined {
    if (version !== this.#version) this.#forget(version)
    const reply = this.#bySource
      .get(source)
      ?.get(packet.toString('latin1', ID_BYTES, packet.length))
    if (reply === undefined) return undefined
    reply[0] = packet[0] as number
    reply[1] = packet[1] as number
    return reply
  }

  /** Remembers what `caller` was answered a moment ago, if that question is likely to come again. */
  keep(
    asked: { packet: Buffer; query: Query; source: string },
    caller: Caller,
    reply: Buffer,
  ): void {
    const { packet, query, source } = asked
    if (!isOrdinary(packet, query)) return
    if (this.#size >= REPLIES_MAX || this.#bySource.size >= SOURCES_MAX) this.#forget(this.#version)
    const owner = `${caller.networkId}/${caller.orgId}`
    const replies = this.#byCaller.get(owner) ?? new Map<string, Buffer>()
    this.#byCaller.set(owner, replies)
    this.#bySource.set(source, replies)
    const key = packet.toString('latin1', ID_BYTES, packet.length)
    if (!replies.has(key)) this.#size += 1
    replies.set(key, Buffer.from(reply))
  }

  #forget(version: number): void {
    this.#bySource.clear()
    this.#byCaller.clear()
    this.#size = 0
    this.#version = version
  }
}

/** As stub resolvers ask. Cookies and random letters (RFC 7873, draft-vixie-dnsext-dns0x20) are different each time. */
function isOrdinary(packet: Buffer, { questionEnd, edns }: Query): boolean {
  const end = questionEnd + (edns === undefined ? 0 : BARE_OPT_BYTES)
  return (
    packet.length === end && !/[A-Z]/.test(packet.toString('latin1', HEADER_BYTES, questionEnd))
  )
}
