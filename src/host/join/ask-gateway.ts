import { type RequestOptions, request } from 'node:https'
import { errorCode } from '#base'
import { authoritiesIn } from '#trust'
import { HostError } from '../errors.ts'
import { caFingerprint } from './join-token.ts'

const ANSWER_BYTES_MAX = 1 << 20

/**
 * The cluster's CA as the gateway tells it, and only if it is the one that the token names. Until then nobody knows who
 * answers, so nothing is sent.
 *
 * @throws HostError host.gateway_away, host.join_refused
 */
export async function askCa(
  url: string,
  fingerprint: string,
  signal: AbortSignal,
): Promise<string> {
  const { status, body } = await ask(url, '/v1/cluster/ca', { rejectUnauthorized: false, signal })
  const named = namedBy(body, fingerprint)
  if (named !== undefined) return named
  if (status === 404) throw cannotSign({ url })
  throw new HostError('host.join_refused', {
    what: 'who answers there is not of the cluster that the token is for',
    values: { url },
    fix: 'look at the URL; or make a token at the gateway that it leads to',
  })
}

/** All that the token names; of one that was made before the cluster had two, the one that it names. */
function namedBy(pem: string, fingerprint: string): string | undefined {
  try {
    if (caFingerprint(pem) === fingerprint) return pem
    return authoritiesIn(pem).find((one) => one.fingerprint === fingerprint)?.certificatePem
  } catch {
    return undefined // no certificate at all
  }
}

/** @throws HostError host.gateway_away; host.join_refused, in the words of the gateway */
export async function askToJoin(
  url: string,
  ca: string,
  body: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  return await post(
    { url, path: '/v1/cluster/join', ca, signal },
    body,
    (why) =>
      new HostError('host.join_refused', {
        what: `the gateway lets this server not join: ${why.what}`,
        values: { url },
        ...why.fix,
      }),
  )
}

/** @throws HostError host.gateway_away; host.renewal_refused, in the words of the gateway */
export async function askToRenew(
  url: string,
  ca: string,
  body: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  return await post(
    { url, path: '/v1/cluster/renew', ca, signal },
    body,
    (why) =>
      new HostError('host.renewal_refused', {
        what: `the gateway renews nothing: ${why.what}`,
        values: { url },
        ...why.fix,
      }),
  )
}

interface Where {
  readonly url: string
  readonly path: string
  /** PEM: whoever it is that answers must be known by it. */
  readonly ca: string
  readonly signal: AbortSignal
}

type Refused = (why: { readonly what: string; readonly fix: { fix?: string } }) => HostError

async function post(
  { url, path, ca, signal }: Where,
  body: unknown,
  refused: Refused,
): Promise<unknown> {
  const headers = { 'content-type': 'application/json' }
  const options = { method: 'POST', ca, signal, headers }
  const { status, body: answered } = await ask(url, path, options, JSON.stringify(body))
  const answer = parsed(answered)
  if (status === 200) return answer
  const { error, fix } = (answer ?? {}) as { error?: unknown; fix?: unknown }
  const what = typeof error === 'string' ? error : `status ${status}`
  throw refused({ what, fix: typeof fix === 'string' ? { fix } : {} })
}

/** Where nobody can join, whatever the token says. */
export const cannotSign = (values: Readonly<Record<string, unknown>>) =>
  new HostError('host.join_refused', {
    what: 'this gateway has no key to sign for hosts that join',
    values,
    fix: 'add the host by the plan of the cluster: docs/operate.md, Adding a host',
  })

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the status says what it is
  }
}

function ask(
  url: string,
  path: string,
  options: RequestOptions,
  sent?: string,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => reject(away(url, cause))
    const asking = request(new URL(path, url), { ...options, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (piece: string) => {
        body += piece
        if (body.length > ANSWER_BYTES_MAX) response.destroy(new Error('the answer is too long'))
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', fail)
    })
    asking.on('error', fail)
    asking.end(sent)
  })
}

const away = (url: string, cause: unknown) =>
  new HostError('host.gateway_away', {
    what: 'the gateway does not answer, or not under a name of its certificate',
    values: { url, why: errorCode(cause) ?? String(cause) },
    fix: 'give its URL as hosts reach it, https://ADDRESS:4280, and see that its port is open to this server',
    cause,
  })
