import { type FieldLines, isText } from './field-lines.ts'
import { Framing, type ResponseHead } from './response-head.ts'

/** Codings that the proxy writes; of equally welcome ones the first is taken. */
export const CODINGS = ['zstd', 'br', 'gzip'] as const
export type Coding = (typeof CODINGS)[number]

/** A body that is known to be smaller gains nothing. */
export const COMPRESSED_BYTES_MIN = 1024

/**
 * The coding for a client that said this. Source: RFC 9110, section 12.5.3.
 * @param accepted the values of Accept-Encoding, joined; undefined: it said nothing, and gets none
 */
export function chooseCoding(accepted: string | undefined): Coding | undefined {
  if (accepted === undefined) return undefined
  const weights = new Map<string, number>()
  for (const item of accepted.toLowerCase().split(',')) {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim())
    if (name !== '') weights.set(name === 'x-gzip' ? 'gzip' : name, weightOf(parameters))
  }
  const rest = weights.get('*') ?? 0
  let chosen: Coding | undefined
  let heaviest = 0
  for (const coding of CODINGS) {
    const weight = weights.get(coding) ?? rest
    if (weight <= heaviest) continue
    heaviest = weight
    chosen = coding
  }
  return (weights.get('identity') ?? 0) > heaviest ? undefined : chosen
}

/** Source: RFC 9110, section 12.4.2. What is no weight counts as 0: better whole than unreadable. */
function weightOf(parameters: readonly string[]): number {
  const given = parameters.find((parameter) => parameter.startsWith('q='))
  if (given === undefined) return 1
  const text = given.slice(2).trim()
  return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(text) ? Number(text) : 0
}

/** Types whose bodies shrink, beside `text/*`, `*+json`, `*+xml` and `*+text`. */
const COMPRESSIBLE_TYPES = new Set([
  'application/javascript',
  'application/json',
  'application/manifest+json',
  'application/rtf',
  'application/vnd.ms-fontobject',
  'application/wasm',
  'application/x-javascript',
  'application/x-ndjson',
  'application/x-sh',
  'application/x-yaml',
  'application/xml',
  'application/yaml',
  'font/otf',
  'font/ttf',
  'image/bmp',
  'image/svg+xml',
  'image/vnd.microsoft.icon',
  'image/x-icon',
])

const isCompressibleType = (contentType: string): boolean => {
  const type = (contentType.split(';')[0] ?? '').trim().toLowerCase()
  return (
    type.startsWith('text/') || /\+(?:json|xml|text)$/.test(type) || COMPRESSIBLE_TYPES.has(type)
  )
}

/** Fields that say something of the very octets that are sent (RFC 9530, RFC 3230), or that they are a part. */
const FIELDS_OF_OCTETS = ['content-range', 'content-digest', 'repr-digest', 'digest', 'content-md5']

/**
 * True when the body may be sent in another coding than the app's. Never: of a part, of what is encoded
 * already, or where the app forbids it (`no-transform`, RFC 9110, section 7.7).
 */
export function isCompressible(head: ResponseHead): boolean {
  const { lines, framing, contentLength, status } = head
  if (framing === Framing.none || status === 206) return false
  if (framing === Framing.length && contentLength < COMPRESSED_BYTES_MIN) return false
  if (!isCompressibleType(lines.find('content-type') ?? '')) return false
  if (lines.find('content-encoding') !== undefined) return false
  if (FIELDS_OF_OCTETS.some((name) => lines.find(name) !== undefined)) return false
  const control = lines.find('cache-control')
  return control === undefined || !/(?:^|[\s,])no-transform(?:$|[\s,])/i.test(control)
}

/** The app's own word that a body stays as it is (`Content-Encoding: none`) is for the proxy alone. @returns true when it was there */
export function takeNone({ lines }: ResponseHead): boolean {
  const line = lineOf(lines, 'content-encoding')
  if (line < 0 || lines.value(line).toLowerCase() !== 'none') return false
  lines.dropped[line] = 1
  return true
}

/** Caches are told that the answer depends on what the client accepts, also when it got the body as it was. */
export function addVary(head: ResponseHead): void {
  const vary = head.lines.find('vary')?.toLowerCase() ?? ''
  if (vary.split(',').some((name) => ['*', 'accept-encoding'].includes(name.trim()))) return
  head.added = [...head.added, ['Vary', 'Accept-Encoding']]
}

/**
 * Makes it the head of the encoded body, whose length nobody knows yet. The ETag becomes weak: the octets are
 * others, what they mean is the same (RFC 9110, section 8.8.3.3); ranges of them cannot be asked for.
 */
export function encodeHead(head: ResponseHead, coding: Coding): void {
  const { lines } = head
  head.framing = Framing.chunked
  head.contentLength = -1
  const added: [string, string][] = [['Content-Encoding', coding]]
  const ranges = lineOf(lines, 'accept-ranges')
  if (ranges >= 0) lines.dropped[ranges] = 1
  const etag = lineOf(lines, 'etag')
  if (etag >= 0 && !lines.value(etag).startsWith('W/')) {
    lines.dropped[etag] = 1
    added.push(['ETag', `W/${lines.value(etag)}`])
  }
  head.added = [...head.added, ...added]
}

/** The first line called `name` (lower case) that is sent on; -1: there is none. */
function lineOf(lines: FieldLines, name: string): number {
  for (let line = 0; line < lines.count; line += 1) {
    if (lines.dropped[line] === 1) continue
    if (isText(lines.bytes, lines.nameStart(line), lines.nameEnd(line), name)) return line
  }
  return -1
}
