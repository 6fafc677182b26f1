import { type Clock, type Random, systemClock, systemRandom } from '#base'
import { DnsError } from '../errors.ts'
import { HEADER_BYTES, RCODE, TYPE, UDP_EDNS_BYTES } from '../wire/constants.ts'
import type { Query } from '../wire/query.ts'
import { AnswerCache } from './answer-cache.ts'
import { type Endpoint, exchange } from './exchange.ts'

export interface UpstreamOptions {
  /** Tried in this order. */
  readonly endpoints: readonly Endpoint[]
  /** @default 1500 */
  readonly tryMs?: number
  /** Different questions under way at once. @default 512 */
  readonly inFlightMax?: number
  /** @default 10000 */
  readonly cacheEntriesMax?: number
  /** @default one day */
  readonly staleMs?: number
  readonly clock?: Clock
  readonly random?: Random
}

/** Public names, asked of the operator's recursive resolvers and remembered. */
export class Upstream {
  readonly #endpoints: readonly Endpoint[]
  readonly #tryMs: number
  readonly #inFlightMax: number
  readonly #cache: AnswerCache
  readonly #clock: Clock
  readonly #random: Random
  readonly #inFlight = new Map<string, Promise<Buffer>>()

  constructor(options: UpstreamOptions) {
    this.#endpoints = options.endpoints
    this.#tryMs = options.tryMs ?? 1500
    this.#inFlightMax = options.inFlightMax ?? 512
    const entriesMax = options.cacheEntriesMax ?? 10_000
    this.#cache = new AnswerCache({ entriesMax, staleMs: options.staleMs ?? 86_400_000 })
    this.#clock = options.clock ?? systemClock
    this.#random = options.random ?? systemRandom
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /**
   * The response for `query`, its id and question's letters as in `packet`. Equal questions at the same time are
   * asked once. @throws DnsError dns.upstream_failed, dns.upstream_busy
   */
  async ask(packet: Buffer, query: Query): Promise<Buffer> {
    const key = `${query.type}/${query.class}/${JSON.stringify(query.labels)}`
    const fresh = this.#cache.get(key, this.#clock.monotonicMs(), { isStaleGood: false })
    if (fresh !== undefined) return addressed(fresh, packet, query)
    let asked = this.#inFlight.get(key)
    if (asked === undefined) {
      if (this.#inFlight.size >= this.#inFlightMax) {
        throw new DnsError('dns.upstream_busy', {
          what: 'too many upstream questions are under way',
        })
      }
      asked = this.#fetch(key, packet, query).finally(() => this.#inFlight.delete(key))
      this.#inFlight.set(key, asked)
    }
    return addressed(Buffer.from(await asked), packet, query)
  }

  async #fetch(key: string, packet: Buffer, query: Query): Promise<Buffer> {
    const question = this.#question(packet, query)
    let last: unknown
    for (const endpoint of this.#endpoints) {
      question.writeUInt16BE(this.#random.int(65_536), 0)
      try {
        const response = await exchange(endpoint, question, AbortSignal.timeout(this.#tryMs))
        if (isUsable(response)) {
          this.#cache.put(key, response, this.#clock.monotonicMs())
          return response
        }
      } catch (error) {
        last = error
      }
    }
    const stale = this.#cache.get(key, this.#clock.monotonicMs(), { isStaleGood: true })
    if (stale !== undefined) return stale
    throw new DnsError('dns.upstream_failed', {
      what: 'no upstream gave an answer',
      values: { tried: this.#endpoints.length },
      cause: last,
    })
  }

  /** The question alone, with an OPT of ours. */
  #question(packet: Buffer, query: Query): Buffer {
    const opt = Buffer.alloc(11)
    opt.writeUInt16BE(TYPE.OPT, 1)
    opt.writeUInt16BE(UDP_EDNS_BYTES, 3)
    const question = Buffer.concat([packet.subarray(0, query.questionEnd), opt])
    question.writeUInt16BE(0x0100, 2)
    question.writeUInt16BE(1, 10)
    return question
  }
}

function isUsable(response: Buffer): boolean {
  const rcode = response.readUInt16BE(2) & 0xf
  return rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN
}

function addressed(response: Buffer, packet: Buffer, query: Query): Buffer {
  packet.copy(response, 0, 0, 2)
  packet.copy(response, HEADER_BYTES, HEADER_BYTES, query.questionEnd)
  return response
}
