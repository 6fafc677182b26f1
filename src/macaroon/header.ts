import { MacaroonError } from './errors.ts'
import { HEADER_CHARS_MAX, TOKENS_MAX } from './limits.ts'

/**
 * The value of an `Authorization` header: an optional scheme, then tokens with commas between.
 *
 *   FlyV1 fm2_<base64>,fm2_<base64>,fo1_<opaque>
 *
 * The prefix says which kind of token a piece is, never which role it plays.
 */

/** Standard, padded base64 of one macaroon. The older two are still accepted. */
export const MACAROON_PREFIXES = ['fm2', 'fm1r', 'fm1a'] as const
/** A user's OAuth token: opaque to us. */
export const OAUTH_PREFIX = 'fo1'

/** One piece of a header, judged by its text alone. */
export type HeaderPiece =
  | { readonly kind: 'macaroon'; readonly text: string; readonly bytes: Buffer }
  | { readonly kind: 'malformed'; readonly text: string; readonly error: MacaroonError }
  | { readonly kind: 'other'; readonly text: string }

/**
 * Splits a header as bundles do: blanks around pieces do not matter, what is no macaroon is kept as
 * it is, and a macaroon that does not decode does not spoil the others.
 *
 * @throws MacaroonError macaroon.over_limit: too long, or too many pieces.
 */
export function splitHeader(header: string): HeaderPiece[] {
  return piecesOf(header).map((untrimmed) => readPiece(untrimmed.trim()))
}

/**
 * The strict way: the bytes of every macaroon; OAuth tokens are passed over, anything else fails.
 *
 * @throws MacaroonError macaroon.bad_header, macaroon.over_limit
 */
export function parseHeader(header: string): Buffer[] {
  const tokens = piecesOf(header).flatMap((text) => {
    const { prefix, payload } = splitPrefix(text)
    if (payload === undefined) throw badHeader('parse flyv1 token: malformed')
    if (prefix === OAUTH_PREFIX) return []
    if (!isMacaroonPrefix(prefix)) {
      throw badHeader(`parse token: invalid token prefix '${prefix}'`)
    }
    return [decodePayload(prefix, payload)]
  })
  if (tokens.length === 0) throw badHeader('parse tokens: no valid tokens found')
  return tokens
}

/** As flyctl sends it: `FlyV1` when any piece is a macaroon, else `Bearer`. None: `FlyV1 `. */
export function printHeader(pieces: readonly string[]): string {
  const isFlyV1 = pieces.length === 0 || pieces.some(isMacaroonText)
  return `${isFlyV1 ? 'FlyV1' : 'Bearer'} ${pieces.join(',')}`
}

/** True for text that claims to be a macaroon. */
export function isMacaroonText(text: string): boolean {
  return isMacaroonPrefix(splitPrefix(text).prefix)
}

/** The value without its schemes; `Bearer FlyV1 fm2_...` has two. */
export function stripSchemes(header: string): string {
  let rest = header.trim()
  for (;;) {
    const stripped = rest.replace(/^(?:FlyV1|Bearer)(?: +|$)/i, '').trim()
    if (stripped === rest) return rest
    rest = stripped
  }
}

function piecesOf(header: string): string[] {
  if (header.length > HEADER_CHARS_MAX) {
    throw new MacaroonError('macaroon.over_limit', {
      what: 'header is too long',
      values: { limit: HEADER_CHARS_MAX, got: header.length },
    })
  }
  const pieces = stripSchemes(header).split(',')
  if (pieces.length > TOKENS_MAX) {
    throw new MacaroonError('macaroon.over_limit', {
      what: 'header has too many tokens',
      values: { limit: TOKENS_MAX, got: pieces.length },
    })
  }
  return pieces
}

function readPiece(text: string): HeaderPiece {
  const { prefix, payload } = splitPrefix(text)
  if (payload === undefined || !isMacaroonPrefix(prefix)) return { kind: 'other', text }
  try {
    return { kind: 'macaroon', text, bytes: decodePayload(prefix, payload) }
  } catch (error) {
    if (!(error instanceof MacaroonError)) throw error
    return { kind: 'malformed', text, error }
  }
}

function splitPrefix(text: string): { prefix: string; payload?: string } {
  const at = text.indexOf('_')
  return at < 0 ? { prefix: '' } : { prefix: text.slice(0, at), payload: text.slice(at + 1) }
}

const isMacaroonPrefix = (prefix: string) =>
  MACAROON_PREFIXES.some((macaroonPrefix) => macaroonPrefix === prefix)

/** Line breaks inside are passed over and unused low bits may be set, both as in Go. */
function decodePayload(prefix: string, payload: string): Buffer {
  const text = payload.replace(/[\r\n]/g, '')
  if (text === '') throw badHeader(`parse flyv1 token: blank ${prefix}`)
  const badAt = badBase64At(text)
  if (badAt === undefined) return Buffer.from(text, 'base64')
  throw badHeader(`parse flyv1 token: ${prefix}: illegal base64 data at input byte ${badAt}`)
}

/** Where standard, padded base64 (RFC 4648, section 4) breaks off; undefined: it is whole. */
function badBase64At(text: string): number | undefined {
  const at = text.search(/[^A-Za-z0-9+/]/)
  if (at < 0) return text.length % 4 === 0 ? undefined : text.length - (text.length % 4)
  const padding = [0, 0, 2, 1][at % 4] ?? 0
  const paddedTo = at + padding
  if (padding === 0 || text.slice(at, paddedTo) !== '='.repeat(padding)) return at
  return paddedTo === text.length ? undefined : paddedTo
}

function badHeader(what: string): MacaroonError {
  return new MacaroonError('macaroon.bad_header', {
    what: `${what}: bad token`,
    fix: 'pass the whole token as it was printed, from FlyV1 or fm2_ to the last character',
  })
}
