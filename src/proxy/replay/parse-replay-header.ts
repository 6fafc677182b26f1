import { parseRegionList } from '../balance/region-list.ts'
import { hasTarget, type ReplayCacheOrder, type ReplayRequest } from './replay-request.ts'

const HEADER_CHARS_MAX = 8_192
/** A key, `=`, and a value: bare (no comma, quote or semicolon) or in double quotes. */
const PAIR = /\s*([a-z_]+)\s*=\s*(?:"([^"]*)"|([^",;]*?))\s*(?:;|$)/gy
const KEYS = [
  ...['region', 'instance', 'prefer_instance', 'app', 'state', 'elsewhere', 'timeout', 'fallback'],
] as const
type Key = (typeof KEYS)[number]

/**
 * The value of a fly-replay header: `region="sjc,any";app=target`. A list must be quoted, as documented.
 * Keys that nobody knows are passed over; a key twice, or a value that cannot be, makes the whole invalid (PA03).
 *
 * @param cache what the response's cache headers order
 * @returns undefined: PA03
 */
export function parseReplayHeader(
  value: string,
  cache: ReplayCacheOrder | undefined,
): ReplayRequest | undefined {
  const fields = splitPairs(value)
  if (fields === undefined) return undefined
  return replayOf(fields, { transform: undefined, cache })
}

/** From the fields of either form. @returns undefined: PA03 */
export function replayOf(
  fields: ReadonlyMap<string, string>,
  more: Pick<ReplayRequest, 'transform' | 'cache'>,
): ReplayRequest | undefined {
  for (const key of KEYS) if (fields.get(key) === '') return undefined
  const field = (key: Key) => fields.get(key)
  const elsewhere = booleanOf(field('elsewhere'))
  const timeoutMs = durationOf(field('timeout'))
  const fallback = fallbackOf(field('fallback'))
  if (elsewhere === null || timeoutMs === null || fallback === null) return undefined
  const request: ReplayRequest = {
    regions: parseRegionList(field('region') ?? ''),
    machine: field('instance'),
    preferredMachine: field('prefer_instance'),
    app: field('app'),
    state: field('state'),
    isElsewhere: elsewhere ?? false,
    timeoutMs,
    fallback,
    ...more,
  }
  return hasTarget(request) ? request : undefined
}

function splitPairs(value: string): Map<string, string> | undefined {
  const text = value.trim()
  if (text === '' || text.length > HEADER_CHARS_MAX) return undefined
  const fields = new Map<string, string>()
  PAIR.lastIndex = 0
  while (PAIR.lastIndex < text.length) {
    const match = PAIR.exec(text)
    if (match === null) return undefined
    const [, key = '', quoted, bare = ''] = match
    if (fields.has(key)) return undefined
    fields.set(key, quoted ?? bare)
  }
  return fields
}

/** Null: a value that cannot be. */
function booleanOf(text: string | undefined): boolean | undefined | null {
  if (text === undefined) return undefined
  return text === 'true' ? true : text === 'false' ? false : null
}

function fallbackOf(text: string | undefined): ReplayRequest['fallback'] | null {
  if (text === undefined || text === 'force_self' || text === 'prefer_self') return text
  return null
}

/** `10s`, `800ms`, `1.5s`, `1m`; more than an hour counts as an hour. */
export function durationOf(text: string | undefined): number | undefined | null {
  if (text === undefined) return undefined
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text)
  if (match === null) return null
  const unitMs = { ms: 1, s: 1_000, m: 60_000 }[match[2] as 'ms' | 's' | 'm']
  return Math.min(3_600_000, Number(match[1]) * unitMs)
}
