import { MacaroonError } from './errors.ts'
import { type ExactJson, parseExactJson } from './exact-json.ts'
import { parseHeader } from './header.ts'
import { TOKEN_BYTES_MAX } from './limits.ts'
import { decodeMacaroon, type Macaroon, printMacaroon } from './macaroon.ts'

/**
 * The messages between the holder of a token and a third party, as text and status; sockets are
 * elsewhere.
 *
 *   POST <location>/.well-known/macfly/3p       {"ticket": base64}
 *     201 {"discharge": token}                                         at once
 *     201 {"poll_url": url}                                            later
 *     201 {"user_interactive": {"user_url": url, "poll_url": url}}     when the user agreed
 *   GET poll_url
 *     202 wait    200 {"discharge"} or {"error"}, once    404 gone
 *   any status {"error": text}
 *
 * Source: superfly/macaroon, tp.
 */
const EXCHANGE_PATH = '/.well-known/macfly/3p'

export const exchangeUrl = (location: string): string =>
  `${location.replace(/\/$/, '')}${EXCHANGE_PATH}`

/** Where the reference service is polled; clients take the address from the answer. */
export const pollUrl = (location: string, secret: string): string =>
  `${exchangeUrl(location)}/poll/${secret}`

/** Sends the user back to `returnTo` when done. @throws MacaroonError macaroon.bad_exchange */
export function withReturnTo(userUrl: string, returnTo: string): string {
  if (!URL.canParse(userUrl)) throw badExchange('user_url is no URL', { userUrl })
  const url = new URL(userUrl)
  url.searchParams.set('return_to', returnTo)
  return url.href
}

export interface ExchangeReply {
  readonly status: number
  /** JSON text; '' for none. */
  readonly body: string
}

export const printTicketRequest = (sealedTicket: Uint8Array): string =>
  JSON.stringify({ ticket: Buffer.from(sealedTicket).toString('base64') })

/** The sealed ticket. @throws MacaroonError macaroon.bad_exchange */
export function parseTicketRequest(body: string): Buffer {
  const ticket = objectOf(body)['ticket']
  const bytes = typeof ticket === 'string' ? Buffer.from(ticket, 'base64') : Buffer.alloc(0)
  if (bytes.length === 0 || bytes.length > TOKEN_BYTES_MAX || bytes.toString('base64') !== ticket) {
    throw badExchange('ticket is missing or no padded base64', {})
  }
  return bytes
}

/** What a third party answers to a ticket or a poll. */
export type ExchangeAnswer =
  | { readonly type: 'discharge'; readonly discharge: Macaroon }
  | { readonly type: 'poll'; readonly pollUrl: string }
  | { readonly type: 'interactive'; readonly userUrl: string; readonly pollUrl: string }
  | { readonly type: 'error'; readonly error: string }
  | { readonly type: 'notReady' }

/** The reply to a ticket. */
export function printTicketReply(answer: ExchangeAnswer): ExchangeReply {
  switch (answer.type) {
    case 'discharge':
      return reply(201, { discharge: printMacaroon(answer.discharge) })
    case 'poll':
      return reply(201, { poll_url: answer.pollUrl })
    case 'interactive':
      return reply(201, {
        user_interactive: { user_url: answer.userUrl, poll_url: answer.pollUrl },
      })
    case 'error':
      return reply(500, { error: answer.error })
    case 'notReady':
      return reply(202, { error: 'not ready' })
  }
}

/** The reply to a poll; undefined: nobody knows this secret (any more). */
export function printPollReply(answer: ExchangeAnswer | undefined): ExchangeReply {
  if (answer === undefined) return reply(404, { error: 'not found' })
  if (answer.type === 'error') return reply(200, { error: answer.error })
  const printed = printTicketReply(answer)
  return answer.type === 'discharge' ? { ...printed, status: 200 } : printed
}

/**
 * What a client makes of a reply to its ticket: an error first, then a discharge, then where to
 * wait.
 *
 * @throws MacaroonError macaroon.bad_exchange: no JSON, or none of these; an error of decoding when
 *   the discharge is no token.
 */
export function parseTicketReply({ status, body }: ExchangeReply): ExchangeAnswer {
  const fields = replyFields(status, body)
  const final = finalAnswer(status, fields)
  if (final !== undefined) return final
  const { poll_url: pollAddress, user_interactive: interactive } = fields
  if (typeof pollAddress === 'string' && pollAddress !== '') {
    return { type: 'poll', pollUrl: pollAddress }
  }
  if (typeof interactive === 'object' && interactive !== null && !Array.isArray(interactive)) {
    const { user_url: userUrl, poll_url: pollUrl } = interactive as Record<string, ExactJson>
    if (typeof userUrl === 'string' && typeof pollUrl === 'string') {
      return { type: 'interactive', userUrl, pollUrl }
    }
  }
  throw badExchange('bad discharge response', { status })
}

/** The same for a poll. 202 means wait, whatever its body says. @throws as `parseTicketReply` */
export function parsePollReply({ status, body }: ExchangeReply): ExchangeAnswer {
  if (status === 202) return { type: 'notReady' }
  const final = finalAnswer(status, replyFields(status, body))
  if (final === undefined) throw badExchange('bad discharge response', { status })
  return final
}

function replyFields(status: number, body: string): Record<string, ExactJson> {
  try {
    return objectOf(body)
  } catch (cause) {
    throw badExchange(`bad response (${status})`, { status }, cause)
  }
}

function finalAnswer(
  status: number,
  { error, discharge }: Record<string, ExactJson>,
): ExchangeAnswer | undefined {
  if (typeof error === 'string' && error !== '') {
    return { type: 'error', error: `tp error (${status}): ${error}` }
  }
  if (typeof discharge !== 'string' || discharge === '') return undefined
  const [bytes, ...others] = parseHeader(discharge)
  if (bytes === undefined || others.length > 0) throw badExchange('not one discharge', { status })
  return { type: 'discharge', discharge: decodeMacaroon(bytes) }
}

function objectOf(body: string): Record<string, ExactJson> {
  const json = parseExactJson(body, 'macaroon.bad_exchange')
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw badExchange('message is no JSON object', {})
  }
  return json as Record<string, ExactJson>
}

const reply = (status: number, fields: object): ExchangeReply => ({
  status,
  body: JSON.stringify(fields),
})

function badExchange(what: string, values: Record<string, unknown>, cause?: unknown) {
  return new MacaroonError('macaroon.bad_exchange', {
    what,
    values,
    ...(cause === undefined ? {} : { cause }),
  })
}
