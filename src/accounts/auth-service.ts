import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Clock, httpStatusOf, type Random } from '#base'
import {
  dischargeFor,
  type ExchangeReply,
  exchangeUrl,
  type Macaroon,
  PendingDischarges,
  parseTicketRequest,
  pollUrl,
  printPollReply,
  printTicketReply,
} from '#macaroon'

export interface AuthServiceOptions {
  /** Of this third party, as tokens name it: `https://auth.example.com`. */
  readonly location: string
  /** 32 bytes, shared with whoever adds this third party to tokens. */
  readonly sharedKey: Uint8Array
  /** Who is logged in, by a session or an Authorization header; undefined: nobody. */
  readonly login: (request: IncomingMessage) => Login | undefined
  /** How long a discharge is good. @default 600 */
  readonly validS?: number
  readonly clock: Clock
  readonly random: Random
}

export interface Login {
  readonly userId: number
  readonly organizationIds: readonly number[]
}

const VALID_S = 600
const PENDING_MAX = 10_000
const PENDING_MS = 15 * 60_000
const BODY_BYTES_MAX = 64 * 1024

/**
 * A third party that vouches for users who are logged in. To whom is known at once it answers at once;
 * else the user opens an address, sees what is asked, and agrees. Nothing is given on a GET: a link that
 * somebody else sent must not be enough.
 *
 * @returns a listener for `node:http`; false: the address is none of its own.
 */
export function authService(options: AuthServiceOptions) {
  const { clock, random, location } = options
  const pending = new PendingDischarges({ entriesMax: PENDING_MAX, ttlMs: PENDING_MS, random })
  const base = new URL(exchangeUrl(location))

  async function answer(request: IncomingMessage): Promise<Answer | undefined> {
    const { pathname } = new URL(request.url ?? '/', base)
    if (!pathname.startsWith(base.pathname)) return undefined
    const [, kind, secret = ''] = pathname.slice(base.pathname.length).split('/')
    const route = `${request.method} ${kind ?? ''}`
    const nowMs = clock.monotonicMs()
    if (route === 'POST ') return json(await begin(request, nowMs))
    if (route === 'GET poll') return json(printPollReply(pending.poll(secret, nowMs)))
    if (route === 'GET user') return page(pending.ticketFor(secret, nowMs), options.login(request))
    if (route === 'POST user') return json(agree(request, secret, nowMs))
    return json(printPollReply(undefined))
  }

  async function begin(request: IncomingMessage, nowMs: number): Promise<ExchangeReply> {
    const ticket = parseTicketRequest(await readBody(request))
    const login = request.headers.authorization === undefined ? undefined : options.login(request)
    if (login !== undefined) {
      return printTicketReply({ type: 'discharge', discharge: vouch(ticket, login) })
    }
    const { userSecret, pollSecret } = pending.begin(ticket, nowMs)
    const userUrl = `${base.href}/user/${userSecret}`
    return printTicketReply({
      type: 'interactive',
      userUrl,
      pollUrl: pollUrl(location, pollSecret),
    })
  }

  function agree(request: IncomingMessage, secret: string, nowMs: number): ExchangeReply {
    if (request.headers.origin !== base.origin) return failure(403, 'not from our own page')
    const login = options.login(request)
    if (login === undefined) return failure(401, 'log in first')
    const ticket = pending.ticketFor(secret, nowMs)
    if (ticket === undefined) return failure(404, 'not found')
    pending.discharge(secret, vouch(ticket, login), nowMs)
    return { status: 200, body: '{"status":"done, you can close this page"}' }
  }

  function vouch(sealedTicket: Uint8Array, login: Login): Macaroon {
    const nowMs = clock.nowMs()
    const notAfter = Math.floor(nowMs / 1000) + (options.validS ?? VALID_S)
    const { sharedKey } = options
    const caveats = [
      { type: 'FlyioUserID', body: login.userId },
      { type: 'ValidityWindow', body: { notBefore: 0, notAfter } },
    ] as const
    const asked = { flyio: [login], expiryMs: notAfter * 1000 }
    return dischargeFor({ location, sharedKey, sealedTicket, caveats, random }, asked, nowMs)
  }

  return async (request: IncomingMessage, response: ServerResponse): Promise<boolean> => {
    const given = await answer(request).catch((error: unknown) => json(describe(error)))
    if (given === undefined) return false
    response.writeHead(given.status, {
      'content-type': given.type,
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'content-security-policy': "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
    })
    response.end(given.body)
    return true
  }
}

interface Answer extends ExchangeReply {
  readonly type: string
}

const json = (reply: ExchangeReply): Answer => ({ ...reply, type: 'application/json' })

const failure = (status: number, error: string): ExchangeReply => ({
  status,
  body: JSON.stringify({ error }),
})

/** What we did not throw on purpose says nothing of its inside. */
function describe(error: unknown): ExchangeReply {
  const status = httpStatusOf(error)
  const isOurs = status !== 500 && error instanceof Error
  return failure(status, isOurs ? error.message : 'internal server error')
}

function page(ticket: Uint8Array | undefined, login: Login | undefined): Answer {
  if (ticket === undefined) return html(404, 'This request is over. Start again where you began.')
  if (login === undefined) return html(401, 'Log in, then open this address again.')
  return html(
    200,
    `A program wants to act as you (user ${login.userId}). Agree only if you just started it.
     <form method="post"><button>Agree</button></form>`,
  )
}

const html = (status: number, body: string): Answer => ({
  status,
  body: `<!doctype html><meta charset="utf-8"><title>Godwit</title><p>${body}`,
  type: 'text/html; charset=utf-8',
})

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk)
  }
  return bytes > BODY_BYTES_MAX ? '' : Buffer.concat(chunks).toString('utf8')
}
