import type { Clock } from '#base'

export interface ClientLimitOptions {
  /** Questions of one client in one second; more are dropped. @default 5000 */
  readonly questionsPerSecond?: number
  /** Questions of one client that wait for upstreams at once; more get SERVFAIL. @default 64 */
  readonly waitingMax?: number
  readonly clock: Clock
}

/** What one client has asked for. */
export interface Client {
  /** In the present second. */
  asked: number
  waiting: number
}

const WINDOW_MS = 1000
/** Sources remembered at once; a flood of forged ones starts the second anew. */
const SOURCES_MAX = 65_536

/**
 * Counts the questions of each client, so that one cannot take the resolver from the others. A client is an IPv4
 * address or, as a machine owns all addresses of its /112, the first 112 bits of an IPv6 address.
 */
export class ClientLimits {
  readonly questionsPerSecond: number
  readonly waitingMax: number
  readonly #clock: Clock
  readonly #bySource = new Map<string, Client>()
  readonly #byPrefix = new Map<string, Client>()
  #windowEndMs = 0
  /** Questions that were dropped. */
  dropped = 0

  constructor({ questionsPerSecond = 5000, waitingMax = 64, clock }: ClientLimitOptions) {
    this.questionsPerSecond = questionsPerSecond
    this.waitingMax = waitingMax
    this.#clock = clock
  }

  /** The client of a question that came just now; undefined when it is one too many. */
  admit(source: string): Client | undefined {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs >= this.#windowEndMs || this.#bySource.size >= SOURCES_MAX) this.#begin(nowMs)
    const client = this.#bySource.get(source) ?? this.#meet(source)
    client.asked += 1
    if (client.asked <= this.questionsPerSecond) return client
    this.dropped += 1
    return undefined
  }

  #meet(source: string): Client {
    const prefix = prefixOf(source)
    const client = this.#byPrefix.get(prefix) ?? { asked: 0, waiting: 0 }
    this.#byPrefix.set(prefix, client)
    this.#bySource.set(source, client)
    return client
  }

  /** Those who wait are kept: their waiting counts on. */
  #begin(nowMs: number): void {
    this.#windowEndMs = nowMs + WINDOW_MS
    this.#bySource.clear()
    for (const [prefix, client] of this.#byPrefix) {
      client.asked = 0
      if (client.waiting === 0) this.#byPrefix.delete(prefix)
    }
  }
}

/** Of an address as sockets write it: an IPv6 one without its last 16 bits, when those are written out. */
function prefixOf(source: string): string {
  const [bare = ''] = source.split('%')
  const words = bare.split(':')
  if (words.length === 1) return bare
  const last = words.pop() ?? ''
  return last.includes('.') ? bare : words.join(':')
}
