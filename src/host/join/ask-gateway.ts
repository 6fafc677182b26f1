import { type RequestOptions, request } from 'node:https'
import { errorCode } from '#base'
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
  if (isCa(body, fingerprint)) return body
  if (status === 404) throw cannotSign({ url })
  throw new HostError('host.join_refused', {
    what: 'who answers there is not of the cluster that the token is for',
    values: { url },
    fix: 'look at the URL; or make a token at the gateway that it leads to',
  })
}

function isCa(pem: string, fingerprint: string): boolean {
  try {
    return caFingerprint(pem) === fingerprint
  } catch {
    return false // no certificate at all
  }
}

/** @throws HostError host.gateway_away; host.join_refused, in the words of the gateway */
export async function askToJoin(
  url: string,
  ca: string,
  body: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  const text = JSON.stringify(body)
  const options = { method: 'POST', ca, signal, headers: { 'content-type': 'application/json' } }
  const { status, body: answered } = await ask(url, '/v1/cluster/join', options, text)
  const answer = parsed(answered)
  if (status === 200) return answer
  const { error, fix } = (answer ?? {}) as { error?: unknown; fix?: unknown }
  throw new HostError('host.join_refused', {
    what: `the gateway lets this server not join: ${typeof error === 'string' ? error : `status ${status}`}`,
    values: { url },
    ...(typeof fix === 'string' ? { fix } : {}),
  })
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
