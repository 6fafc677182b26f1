import type { Caveat } from './caveat.ts'
import { attenuate } from './chain.ts'
import { MacaroonError } from './errors.ts'
import { type HeaderPiece, splitHeader } from './header.ts'
import { decodeMacaroon, type Macaroon, printMacaroon } from './macaroon.ts'
import { mintDischarge, ticketsOf } from './third-party.ts'
import { openTicket } from './ticket.ts'

/** Where tokens of this platform's permissions say that they come from, as flyctl expects it. */
export const PERMISSION_LOCATION = 'https://api.fly.io/v1'

/**
 * The tokens of one header. Immutable: each operation gives another bundle. A token that was not
 * changed keeps the text it came with, old prefix included.
 */
export interface Bundle {
  /** Tokens of this location are permission tokens, all other macaroons are discharges. */
  readonly location: string
  readonly tokens: readonly BundleToken[]
}

export interface MacaroonToken {
  readonly kind: 'permission' | 'discharge'
  readonly text: string
  readonly macaroon: Macaroon
}

export type BundleToken =
  | MacaroonToken
  | { readonly kind: 'malformed'; readonly text: string; readonly error: MacaroonError }
  | { readonly kind: 'other'; readonly text: string }

/**
 * Reads a header; whatever is wrong with a piece stays with that piece.
 *
 * @throws MacaroonError macaroon.over_limit: the whole header is too large.
 */
export function parseBundle(header: string, location: string = PERMISSION_LOCATION): Bundle {
  return { location, tokens: splitHeader(header).map((piece) => tokenOf(piece, location)) }
}

function tokenOf(piece: HeaderPiece, location: string): BundleToken {
  if (piece.kind !== 'macaroon') return piece
  try {
    return macaroonToken(decodeMacaroon(piece.bytes), piece.text, location)
  } catch (error) {
    if (!(error instanceof MacaroonError)) throw error
    return { kind: 'malformed', text: piece.text, error }
  }
}

function macaroonToken(macaroon: Macaroon, text: string, location: string): MacaroonToken {
  return { kind: macaroon.location === location ? 'permission' : 'discharge', text, macaroon }
}

/** The header value, always under FlyV1; an empty bundle is the empty string. */
export function printBundle({ tokens }: Bundle): string {
  return tokens.length === 0 ? '' : `FlyV1 ${tokens.map(({ text }) => text).join(',')}`
}

export function permissionTokens(bundle: Bundle): MacaroonToken[] {
  return bundle.tokens.filter((token): token is MacaroonToken => token.kind === 'permission')
}

export function dischargeTokens(bundle: Bundle): MacaroonToken[] {
  return bundle.tokens.filter((token): token is MacaroonToken => token.kind === 'discharge')
}

/**
 * The only permission token and its discharges, for operations on one.
 *
 * @throws MacaroonError macaroon.permission_token_missing, macaroon.permission_token_repeated
 */
export function onlyPermissionToken(bundle: Bundle): MacaroonToken {
  const [first, ...others] = permissionTokens(bundle)
  if (first === undefined) throw noPermissionToken(bundle)
  if (others.length > 0) {
    throw new MacaroonError('macaroon.permission_token_repeated', {
      what: 'multiple permission tokens',
      values: { count: others.length + 1 },
    })
  }
  return first
}

/** What is wrong when there is none: the first malformed piece says more than its absence. */
export function noPermissionToken({ location, tokens }: Bundle): MacaroonError {
  const damaged = tokens.find((token) => token.kind === 'malformed')
  return new MacaroonError('macaroon.permission_token_missing', {
    what: 'no permission token',
    values: { location, ...(damaged === undefined ? {} : { malformed: damaged.error.message }) },
    fix: damaged?.error.fix ?? 'pass a token that this platform issued',
    ...(damaged === undefined ? {} : { cause: damaged.error }),
  })
}

/** Without malformed tokens, and without discharges that no permission token asks for. */
export function withoutUseless(bundle: Bundle): Bundle {
  const wanted = new Set(
    permissionTokens(bundle).flatMap(({ macaroon }) => ticketsOf(macaroon.caveats).map(ticketKey)),
  )
  return withTokens(
    bundle,
    bundle.tokens.filter((token) => {
      if (token.kind === 'discharge') return wanted.has(kidKey(token.macaroon))
      return token.kind !== 'malformed'
    }),
  )
}

/** The permission tokens that pass `wanted`, with their discharges; other tokens stay out. */
export function selectTokens(bundle: Bundle, wanted: (macaroon: Macaroon) => boolean): Bundle {
  return withoutUseless(
    withTokens(
      bundle,
      bundle.tokens.filter(
        (token) =>
          token.kind === 'discharge' || (token.kind === 'permission' && wanted(token.macaroon)),
      ),
    ),
  )
}

/**
 * All permission tokens with more caveats, or none: a finalised one with the permission location
 * stops the whole operation.
 *
 * @throws MacaroonError as `attenuate`
 */
export function attenuateBundle(bundle: Bundle, caveats: readonly Caveat[]): Bundle {
  return withTokens(
    bundle,
    bundle.tokens.map((token) => {
      if (token.kind !== 'permission') return token
      const macaroon = attenuate(token.macaroon, caveats)
      if (macaroon.caveats.length === token.macaroon.caveats.length) return token
      return { ...token, macaroon, text: printMacaroon(macaroon) }
    }),
  )
}

/**
 * More tokens, as text with or without scheme.
 *
 * @throws MacaroonError the error of a malformed one; the bundle is as it was.
 */
export function addTokens(bundle: Bundle, header: string): Bundle {
  const added = parseBundle(header, bundle.location).tokens
  for (const token of added) if (token.kind === 'malformed') throw token.error
  return withTokens(bundle, [...bundle.tokens, ...added])
}

export function addDischarge(bundle: Bundle, discharge: Macaroon): Bundle {
  const text = printMacaroon(discharge)
  return withTokens(bundle, [...bundle.tokens, macaroonToken(discharge, text, bundle.location)])
}

/** Tickets of permission tokens that have no discharge here yet, each once. */
export function undischargedTickets(bundle: Bundle): { location: string; ticket: Uint8Array }[] {
  const seen = new Set(dischargeTokens(bundle).map(({ macaroon }) => kidKey(macaroon)))
  return permissionTokens(bundle)
    .flatMap(({ macaroon }) => ticketsOf(macaroon.caveats))
    .filter((due) => {
      const key = ticketKey(due)
      if (seen.has(key)) return false
      seen.add(key)
      return true
    })
}

/** True when some ticket for this location is undischarged. */
export function isMissingDischarge(bundle: Bundle, location: string): boolean {
  return undischargedTickets(bundle).some((due) => due.location === location)
}

/**
 * Discharges every undischarged ticket, whatever its location, with one shared key; the ticket's
 * own caveats are not judged. For the holder of that key only.
 *
 * @throws MacaroonError macaroon.bad_ticket: one can't be opened; the bundle is as it was.
 */
export function dischargeBundle(
  bundle: Bundle,
  options: { location: string; sharedKey: Uint8Array; caveats?: readonly Caveat[] },
): Bundle {
  const { location, sharedKey, caveats = [] } = options
  const discharges = undischargedTickets(bundle).map(({ ticket: sealedTicket }) =>
    mintDischarge({
      location,
      sealedTicket,
      ticket: openTicket(sharedKey, sealedTicket),
      caveats,
    }),
  )
  return discharges.reduce(addDischarge, bundle)
}

const withTokens = ({ location }: Bundle, tokens: readonly BundleToken[]): Bundle => ({
  location,
  tokens,
})

const ticketKey = ({ ticket }: { ticket: Uint8Array }) => Buffer.from(ticket).toString('latin1')
const kidKey = ({ nonce }: Macaroon) => Buffer.from(nonce.kid).toString('latin1')
