import { Type } from 'typebox'
import { errorCode } from '#base'
import { type Answer, type Call, type Endpoint, endpoint, ok, refuse } from '#flaps'
import type { WebApiOptions } from '../web-api-options.ts'

const tag = 'Web'
const why = 'who logs in has no token yet'
/** What a host name, a port and brackets are made of. */
const HOST = /^[A-Za-z0-9.:[\]-]{1,255}$/
const CODE = /^[A-Z0-9]{4}-[A-Z0-9]{4}$/

/**
 * `auth login`: the client begins, opens a page for its user, and asks each second whether somebody has confirmed
 * it. Here that is the operator, who knows people by more than an address.
 */
export const loginEndpoints = ({ accounts, isTls }: WebApiOptions): readonly Endpoint[] => [
  endpoint({
    id: 'Web_logins_begin',
    method: 'POST',
    path: '/api/v1/cli_sessions',
    tag,
    summary: 'A client begins to log its user in.',
    body: Type.Object({ name: Type.Optional(Type.String()), target: Type.Optional(Type.String()) }),
    answers: { 201: Type.Object({ id: Type.String(), auth_url: Type.String() }) },
    access: { on: 'nothing', why },
    limit: 'query',
    async handle(call) {
      const { name = '', target = 'auth' } = call.body
      if (target !== 'auth') {
        throw refuse('flaps.unprocessable', `there is no page for ${target.slice(0, 40)} here`)
      }
      const { secret, code } = begin(accounts, name || 'a client')
      const page = `${originOf(call, isTls)}/app/auth/cli/${code}`
      return { status: 201, body: { id: secret, auth_url: page } }
    },
  }),

  endpoint({
    id: 'Web_logins_poll',
    method: 'GET',
    path: '/api/v1/cli_sessions/:session',
    tag,
    summary: 'Its tokens, once; 404 until somebody has confirmed it.',
    answers: { 200: Type.Object({ id: Type.String(), access_token: Type.String() }) },
    access: { on: 'nothing', why },
    limit: 'none',
    async handle(call) {
      const secret = call.param('session')
      const by = { who: 'login', requestId: call.requestId }
      const header = accounts.redeemLogin(by, secret)
      if (header === undefined) throw refuse('flaps.not_found', 'not_found: not confirmed yet')
      return ok({ id: secret, auth_url: '', access_token: header.replace(/^FlyV1 /, '') })
    },
  }),

  endpoint({
    id: 'Web_logins_page',
    method: 'GET',
    path: '/app/auth/cli/:code',
    tag,
    summary: 'What whoever logs in is to do.',
    answers: { 200: Type.String() },
    access: { on: 'nothing', why },
    limit: 'none',
    handle: async (call) => page(call.param('code')),
  }),
]

/** @throws FlapsError flaps.rate_limited */
function begin(accounts: WebApiOptions['accounts'], name: string) {
  try {
    return accounts.beginLogin({ name })
  } catch (error) {
    if (errorCode(error) !== 'accounts.logins_full') throw error
    throw refuse('flaps.rate_limited', 'too many logins wait to be confirmed', error)
  }
}

/** Where the client came in, for it alone: what it says of that harms nobody else. */
function originOf(call: Call, isTls = false): string {
  const host = call.header('host') ?? ''
  if (!HOST.test(host)) throw refuse('flaps.argument_bad', 'invalid_argument: invalid host')
  return `${isTls || call.header('x-forwarded-proto') === 'https' ? 'https' : 'http'}://${host}`
}

function page(code: string): Answer {
  if (!CODE.test(code)) throw refuse('flaps.not_found', 'not_found: no such login')
  const command = `godwit accounts confirm-login ${code} --email YOU@EXAMPLE.COM`
  const body = `<!doctype html><meta charset="utf-8"><title>Godwit</title>
<h1>${code}</h1><p>Your operator lets this client in as you, within 15 minutes, by</p>
<pre>${command}</pre><p>Compare the code, and tell it to nobody who asks you for it.`
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  }
  return { status: 200, body, headers }
}
