import { durationOf, replayOf } from './parse-replay-header.ts'
import { keepOrder } from './replay-cache-order.ts'
import type { ReplayCacheOrder, ReplayRequest, ReplayTransform } from './replay-request.ts'

type Json = Readonly<Record<string, unknown>>
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\uffff]*$/
const PATH = /^\/[\x21-\x7e]*$/
/** What a transform must not touch: framing, routing, and what the proxy itself says. */
const UNTOUCHABLE =
  /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*|via|fly-.*|x-request-start)$/
const HEADERS_MAX = 64

/**
 * The body of a response of type application/vnd.fly.replay+json: the keys of the header, `transform` and
 * `cache`. Regions may also be a list.
 *
 * @returns undefined: PA03
 */
export function parseReplayJson(body: Uint8Array): ReplayRequest | undefined {
  const value = parse(body)
  if (!isObject(value)) return undefined
  const fields = new Map<string, string>()
  for (const [key, given] of Object.entries(value)) {
    if (key === 'transform' || key === 'cache' || given === null) continue
    const text = textOf(key, given)
    if (text === undefined) return undefined
    fields.set(key, text)
  }
  const transform = transformOf(value['transform'])
  const cache = cacheOf(value['cache'])
  if (transform === null || cache === null) return undefined
  return replayOf(fields, { transform, cache })
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    return undefined // no JSON: PA03, which the caller reports
  }
}

function textOf(key: string, given: unknown): string | undefined {
  if (typeof given === 'string') return given
  if (typeof given === 'boolean' && key === 'elsewhere') return String(given)
  const isList = Array.isArray(given) && given.every((item) => typeof item === 'string')
  return isList && key === 'region' ? given.join(',') : undefined
}

/** Null: one that cannot be. */
function transformOf(value: unknown): ReplayTransform | undefined | null {
  if (value === undefined || value === null) return undefined
  if (!isObject(value)) return null
  const { path, delete_headers: deleted = [], set_headers: set = [] } = value
  if (path !== undefined && (typeof path !== 'string' || !PATH.test(path))) return null
  if (!Array.isArray(deleted) || !Array.isArray(set)) return null
  if (deleted.length + set.length > HEADERS_MAX) return null
  const deleteHeaders = deleted.map(headerName)
  const setHeaders = set.map(headerPair)
  if (deleteHeaders.includes(undefined) || setHeaders.includes(undefined)) return null
  return {
    path,
    deleteHeaders: deleteHeaders as string[],
    setHeaders: setHeaders as ReplayTransform['setHeaders'],
  }
}

function headerName(value: unknown): string | undefined {
  if (typeof value !== 'string' || !HEADER_NAME.test(value)) return undefined
  const name = value.toLowerCase()
  return UNTOUCHABLE.test(name) ? undefined : name
}

function headerPair(value: unknown): { name: string; value: string } | undefined {
  if (!isObject(value)) return undefined
  const name = headerName(value['name'])
  const text = value['value']
  if (name === undefined || typeof text !== 'string' || !HEADER_VALUE.test(text)) return undefined
  return { name, value: text }
}

function cacheOf(value: unknown): ReplayCacheOrder | undefined | null {
  if (value === undefined || value === null) return undefined
  if (!isObject(value)) return null
  if (value['invalidate'] === true) return { kind: 'invalidate' }
  const { prefix, ttl, allow_bypass: allowBypass } = value
  if (typeof prefix !== 'string') return null
  const ttlS = typeof ttl === 'number' ? ttl : (durationOf(String(ttl)) ?? Number.NaN) / 1_000
  return keepOrder(prefix, ttlS, allowBypass === true) // too short or odd: followed, not kept
}
