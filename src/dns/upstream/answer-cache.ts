import { HEADER_BYTES, RCODE, TYPE } from '../wire/constants.ts'
import { skipName } from '../wire/names.ts'

/** A response as an upstream sent it, with where its TTLs stand. */
interface Cached {
  readonly packet: Buffer
  readonly ttlOffsets: readonly number[]
  readonly storedMs: number
  readonly expiresMs: number
}

interface Walk {
  readonly ttlOffsets: number[]
  readonly ttlSeconds: number
}

const TTL_MAX_SECONDS = 86_400
/** RFC 2308, section 5: negative answers are kept for hours at most. */
const NEGATIVE_MAX_SECONDS = 10_800
/** RFC 8767, section 4: what a stale answer's records say. */
const STALE_TTL_SECONDS = 30

/** Answers of upstreams for as long as their TTLs say; the longest unused goes first. */
export class AnswerCache {
  readonly #entries = new Map<string, Cached>()
  readonly #entriesMax: number
  readonly #staleMs: number

  /** `staleMs`: how long an expired answer may still stand in for a dead upstream (RFC 8767); 0: never. */
  constructor({ entriesMax, staleMs }: { entriesMax: number; staleMs: number }) {
    this.#entriesMax = entriesMax
    this.#staleMs = staleMs
  }

  get size(): number {
    return this.#entries.size
  }

  /** A copy with the TTLs that are left; its id is the caller's to set. */
  get(key: string, nowMs: number, options: { isStaleGood: boolean }): Buffer | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    if (nowMs >= entry.expiresMs + this.#staleMs) {
      this.#entries.delete(key)
      return undefined
    }
    const isStale = nowMs >= entry.expiresMs
    if (isStale && !options.isStaleGood) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    const ageSeconds = Math.floor((nowMs - entry.storedMs) / 1000)
    const copy = Buffer.from(entry.packet)
    for (const at of entry.ttlOffsets) {
      const left = Math.max(0, entry.packet.readUInt32BE(at) - ageSeconds)
      copy.writeUInt32BE(isStale ? STALE_TTL_SECONDS : left, at)
    }
    return copy
  }

  put(key: string, packet: Buffer, nowMs: number): void {
    const walk = isKeepable(packet) ? walkRecords(packet) : undefined
    if (walk === undefined || walk.ttlSeconds === 0) return
    this.#entries.delete(key)
    this.#entries.set(key, {
      packet: Buffer.from(packet),
      ttlOffsets: walk.ttlOffsets,
      storedMs: nowMs,
      expiresMs: nowMs + walk.ttlSeconds * 1000,
    })
    if (this.#entries.size <= this.#entriesMax) return
    const [oldest] = this.#entries.keys()
    if (oldest !== undefined) this.#entries.delete(oldest)
  }
}

function isKeepable(packet: Buffer): boolean {
  const flags = packet.readUInt16BE(2)
  const rcode = flags & 0xf
  const isTruncated = (flags & 0x0200) !== 0
  return !isTruncated && (rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN)
}

/**
 * How long the response holds: its answers' smallest TTL, or the SOA's TTL and minimum when it has none (RFC 2308,
 * section 5); 0 without either. Undefined when its records run out of the packet.
 */
export function walkRecords(packet: Buffer): Walk | undefined {
  const nameEnd = skipName(packet, HEADER_BYTES)
  if (nameEnd < 0) return undefined
  const answers = packet.readUInt16BE(6)
  const total = answers + packet.readUInt16BE(8) + packet.readUInt16BE(10)
  const ttlOffsets: number[] = []
  let positive = TTL_MAX_SECONDS
  let negative = 0
  let at = nameEnd + 4
  for (let seen = 0; seen < total; seen += 1) {
    const owner = skipName(packet, at)
    if (owner < 0 || owner + 10 > packet.length) return undefined
    const end = owner + 10 + packet.readUInt16BE(owner + 8)
    if (end > packet.length) return undefined
    const type = packet.readUInt16BE(owner)
    if (type !== TYPE.OPT) {
      const ttl = packet.readUInt32BE(owner + 4)
      ttlOffsets.push(owner + 4)
      if (seen < answers) positive = Math.min(positive, ttl)
      else if (type === TYPE.SOA && end - owner >= 32) {
        negative = Math.min(ttl, packet.readUInt32BE(end - 4), NEGATIVE_MAX_SECONDS)
      }
    }
    at = end
  }
  const isPositive = answers > 0 && (packet.readUInt16BE(2) & 0xf) === RCODE.NOERROR
  return { ttlOffsets, ttlSeconds: isPositive ? positive : negative }
}
