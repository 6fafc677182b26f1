import type { ReplayCacheRule } from '../routing-table/port-spec.ts'
import { isBelow } from './replay-cache-order.ts'
import type { ReplayRequest } from './replay-request.ts'

/** A replay that is kept: where the next such requests go at once. */
export interface CachedReplay {
  readonly replay: ReplayRequest
  readonly allowBypass: boolean
  /** Monotonic. */
  readonly endsAtMs: number
}

/** What of a request the session rules look at. */
export interface CacheSubject {
  /** Lower case, without port. */
  readonly host: string
  readonly target: string
  header(name: string): string | undefined
}

/** Which entry a request matched, or would make. */
export interface CacheSlot {
  readonly host: string
  readonly key: string
}

const PREFIXES_PER_HOST_MAX = 1_000
const VALUE_CHARS_MAX = 4_096

/**
 * Replays that apps asked to be kept. By path: host and prefix, the longest prefix wins. By session: host, rule
 * and the value of a cookie or header. Hosts share nothing. Best effort: the oldest entries go when it is full.
 */
export class ReplayCache {
  readonly #entriesMax: number
  /** Insertion order is age. Keys of paths begin with `path `, of sessions with `session `. */
  readonly #entries = new Map<string, CachedReplay>()
  /** Prefixes by host, so that a request looks at those of its own host only. */
  readonly #prefixes = new Map<string, Set<string>>()

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax
  }

  get size(): number {
    return this.#entries.size
  }

  /** The entry of a request: of its session rule when one applies and has a value, else of its path. */
  find(
    subject: CacheSubject,
    rules: readonly ReplayCacheRule[],
    nowMs: number,
  ): { readonly slot: CacheSlot; readonly cached: CachedReplay } | undefined {
    if (this.#entries.size === 0) return undefined
    const session = sessionSlot(subject, rules)
    const slots = session === undefined ? [] : [session.slot]
    const path = this.#pathSlot(subject)
    if (path !== undefined) slots.push(path)
    for (const slot of slots) {
      const cached = this.#entries.get(slot.key)
      if (cached === undefined) continue
      if (cached.endsAtMs > nowMs) return { slot, cached }
      this.#delete(slot)
    }
    return undefined
  }

  /**
   * Keeps a replay when its response orders so or a session rule applies.
   * @returns whether it did
   */
  keep(
    subject: CacheSubject,
    rules: readonly ReplayCacheRule[],
    replay: ReplayRequest,
    nowMs: number,
  ): boolean {
    if (!isKeepable(replay)) return false
    const session = sessionSlot(subject, rules)
    if (session !== undefined) {
      const { ttlMs, allowBypass } = session.rule
      this.#put(session.slot, { replay, allowBypass, endsAtMs: nowMs + ttlMs })
      return true
    }
    const order = replay.cache
    if (order?.kind !== 'keep') return false
    const host = order.host ?? subject.host
    if (host !== subject.host || !isBelow(subject.target, order.pathPrefix)) return false
    const prefixes = this.#prefixes.get(host) ?? new Set<string>()
    if (!prefixes.has(order.pathPrefix) && prefixes.size >= PREFIXES_PER_HOST_MAX) return false
    prefixes.add(order.pathPrefix)
    this.#prefixes.set(host, prefixes)
    const endsAtMs = nowMs + order.ttlMs
    const slot = { host, key: pathKey(host, order.pathPrefix) }
    this.#put(slot, { replay, allowBypass: order.allowBypass, endsAtMs })
    return true
  }

  /** Forgets what the request matches, of both kinds. */
  invalidate(subject: CacheSubject, rules: readonly ReplayCacheRule[]): void {
    const session = sessionSlot(subject, rules)
    if (session !== undefined) this.#delete(session.slot)
    const path = this.#pathSlot(subject)
    if (path !== undefined) this.#delete(path)
  }

  drop(slot: CacheSlot): void {
    this.#delete(slot)
  }

  #pathSlot({ host, target }: CacheSubject): CacheSlot | undefined {
    let best: string | undefined
    for (const prefix of this.#prefixes.get(host) ?? []) {
      if (best !== undefined && prefix.length <= best.length) continue
      if (isBelow(target, prefix)) best = prefix
    }
    return best === undefined ? undefined : { host, key: pathKey(host, best) }
  }

  #put(slot: CacheSlot, cached: CachedReplay): void {
    this.#entries.delete(slot.key)
    this.#entries.set(slot.key, cached)
    if (this.#entries.size <= this.#entriesMax) return
    for (const key of this.#entries.keys()) {
      this.#delete({ host: key.split(' ')[1] ?? '', key })
      break
    }
  }

  #delete({ host, key }: CacheSlot): void {
    this.#entries.delete(key)
    if (!key.startsWith('path ')) return
    const prefixes = this.#prefixes.get(host)
    prefixes?.delete(key.slice(`path ${host} `.length))
    if (prefixes?.size === 0) this.#prefixes.delete(host)
  }
}

const pathKey = (host: string, prefix: string) => `path ${host} ${prefix}`

/** What names a moment or changes the request must not be repeated. */
const isKeepable = ({ state, timeoutMs, fallback, transform }: ReplayRequest) =>
  state === undefined &&
  timeoutMs === undefined &&
  fallback === undefined &&
  transform === undefined

function sessionSlot(
  subject: CacheSubject,
  rules: readonly ReplayCacheRule[],
): { slot: CacheSlot; rule: ReplayCacheRule } | undefined {
  let best: ReplayCacheRule | undefined
  for (const rule of rules) {
    if (rule.host !== undefined && rule.host !== subject.host) continue
    if (!isBelow(subject.target, rule.pathPrefix)) continue
    if (best === undefined || rule.pathPrefix.length > best.pathPrefix.length) best = rule
  }
  if (best === undefined) return undefined
  const value =
    best.kind === 'header'
      ? subject.header(best.name)
      : cookieOf(subject.header('cookie'), best.name)
  if (value === undefined || value === '' || value.length > VALUE_CHARS_MAX) return undefined
  const { host } = subject
  const key = `session ${host} ${best.kind} ${best.name} ${best.pathPrefix} ${value}`
  return { slot: { host, key }, rule: best }
}

/** RFC 6265, section 4.2.1: pairs joined by `; `. The first of a name counts. */
function cookieOf(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const equals = pair.indexOf('=')
    if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
  }
  return undefined
}
