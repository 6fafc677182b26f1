import { type Backoff, backoffMs, type Clock, type Random, startDeadline } from '#base'
import { addDischarge, type Bundle, undischargedTickets } from './bundle.ts'
import { MacaroonError, overLimit } from './errors.ts'
import {
  type ExchangeAnswer,
  type ExchangeReply,
  exchangeUrl,
  parsePollReply,
  parseTicketReply,
  printTicketRequest,
} from './exchange.ts'
import { JSON_CHARS_MAX } from './limits.ts'
import type { Macaroon } from './macaroon.ts'

const POLL: Backoff = { baseMs: 2_000, capMs: 10_000 }
const TICKETS_MAX = 16

export interface FetchOptions {
  /** Covers everything, a user's decision included. Milliseconds. */
  readonly deadlineMs: number
  readonly signal?: AbortSignal
  readonly clock: Clock
  readonly random: Random
  /** The Authorization header for a host, without its port. @default none */
  readonly authorizationFor?: (hostname: string) => string | undefined
  /** Shows the user where to agree. @default interactive third parties fail */
  readonly showUserUrl?: (url: string) => void
}

/** What was fetched is in the bundle, also when other third parties failed. */
export interface Fetched {
  readonly bundle: Bundle
  readonly failures: readonly { readonly location: string; readonly error: unknown }[]
}

/**
 * Asks every third party that a bundle still needs for its discharge, all at once. Source:
 * superfly/macaroon, tp (client).
 *
 * @throws MacaroonError macaroon.over_limit: too many third parties at once.
 */
export async function fetchDischarges(bundle: Bundle, options: FetchOptions): Promise<Fetched> {
  const due = undischargedTickets(bundle)
  if (due.length > TICKETS_MAX) {
    throw overLimit('token needs too many discharges', { limit: TICKETS_MAX, got: due.length })
  }
  const { deadlineMs, signal, clock } = options
  using deadline = startDeadline('fetching discharges', deadlineMs, { signal, clock })
  const results = await Promise.allSettled(
    due.map(({ location, ticket }) => fetchOne(location, ticket, options, deadline.signal)),
  )
  let grown = bundle
  const failures: { location: string; error: unknown }[] = []
  for (const [index, result] of results.entries()) {
    if (result.status === 'fulfilled') grown = addDischarge(grown, result.value)
    else failures.push({ location: due[index]?.location ?? '', error: result.reason })
  }
  return { bundle: grown, failures }
}

async function fetchOne(
  location: string,
  ticket: Uint8Array,
  options: FetchOptions,
  signal: AbortSignal,
): Promise<Macaroon> {
  const body = printTicketRequest(ticket)
  const first = parseTicketReply(await exchange(exchangeUrl(location), body, options, signal))
  if (first.type === 'interactive') {
    if (options.showUserUrl === undefined) throw refused(location, 'missing user-url callback')
    options.showUserUrl(first.userUrl)
  }
  const isWaiting = first.type === 'interactive' || first.type === 'poll'
  const last = isWaiting ? await poll(first.pollUrl, options, signal) : first
  if (last.type === 'discharge') return last.discharge
  throw refused(location, last.type === 'error' ? last.error : 'bad discharge response')
}

async function poll(
  url: string,
  options: FetchOptions,
  signal: AbortSignal,
): Promise<ExchangeAnswer> {
  for (let attempt = 0; ; attempt += 1) {
    const answer = parsePollReply(await exchange(url, undefined, options, signal))
    if (answer.type !== 'notReady') return answer
    await options.clock.sleep(backoffMs(attempt, POLL, options.random), signal)
  }
}

/** Redirects are refused: the ticket and the credential are for this host only. */
async function exchange(
  address: string,
  body: string | undefined,
  { authorizationFor }: FetchOptions,
  signal: AbortSignal,
): Promise<ExchangeReply> {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
    throw new MacaroonError('macaroon.bad_exchange', {
      what: 'a third party has no address on the web',
      values: { address },
    })
  }
  const authorization = authorizationFor?.(url.hostname)
  const response = await fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(authorization === undefined ? {} : { authorization }),
    },
    ...(body === undefined ? {} : { body }),
    redirect: 'error',
    signal,
  })
  return { status: response.status, body: await readText(response) }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > JSON_CHARS_MAX) {
      throw overLimit('answer of a third party is too long', { limit: JSON_CHARS_MAX, got: bytes })
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const refused = (location: string, what: string) =>
  new MacaroonError('macaroon.third_party_refused', { what, values: { location } })
