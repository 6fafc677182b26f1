import { REPLAY_CACHE_TTL_S_MIN } from '../routing-table/port-spec.ts'
import type { ReplayCacheOrder } from './replay-request.ts'

export const REPLAY_CACHE_HEADERS = {
  pattern: 'fly-replay-cache',
  ttl: 'fly-replay-cache-ttl-secs',
  allowBypass: 'fly-replay-cache-allow-bypass',
  /** Of requests. */
  control: 'fly-replay-cache-control',
  /** What the target sees. */
  status: 'fly-replay-cache-status',
} as const

/**
 * What the response's headers order. A wrong order is no order: the replay is followed, and nothing is kept.
 * Times shorter than 10 s count as wrong.
 */
export function cacheOrderOf(
  header: (name: string) => string | undefined,
): ReplayCacheOrder | undefined {
  const pattern = header(REPLAY_CACHE_HEADERS.pattern)?.trim()
  if (pattern === undefined || pattern === '') return undefined
  if (pattern.toLowerCase() === 'invalidate') return { kind: 'invalidate' }
  const bypass = header(REPLAY_CACHE_HEADERS.allowBypass)?.trim().toLowerCase()
  return keepOrder(pattern, Number(header(REPLAY_CACHE_HEADERS.ttl)), bypass === 'yes')
}

/** `[host]/path/*`: the end `/*` is understood when it is not there. Undefined: not of that form. */
export function keepOrder(
  pattern: string,
  ttlS: number,
  allowBypass: boolean,
): ReplayCacheOrder | undefined {
  const slash = pattern.indexOf('/')
  if (slash < 0 || !(ttlS >= REPLAY_CACHE_TTL_S_MIN) || !Number.isFinite(ttlS)) return undefined
  const host = pattern.slice(0, slash).toLowerCase()
  const path = pattern.slice(slash).replace(/\*$/, '').replace(/\/$/, '')
  if (path.includes('*')) return undefined
  return {
    kind: 'keep',
    host: host === '' ? undefined : host,
    pathPrefix: path,
    ttlMs: ttlS * 1_000,
    allowBypass,
  }
}

/** `/api` is above `/api`, `/api/x` and `/api?x`, and not above `/apix`. The empty prefix is above all. */
export function isBelow(target: string, pathPrefix: string): boolean {
  const prefix = pathPrefix.endsWith('/') ? pathPrefix.slice(0, -1) : pathPrefix
  if (!target.startsWith(prefix)) return false
  const next = target.charAt(prefix.length)
  return next === '' || next === '/' || next === '?'
}
