import { createServer, type IncomingMessage } from 'node:http'
import { type Clock, httpStatusOf, type Log } from '#base'
import { answerPath, type ClusterKey, refuse, signedHeaders } from '#flyd'
import { type ListeningServer, listening } from './listening-server.ts'

/** What a gateway does for hosts that ask by this path. */
export interface GatewayCall {
  readonly path: string
  /** @default 20,000 */
  readonly answerMsMax?: number
  /** @default 16 KiB */
  readonly bodyBytesMax?: number
  answer(body: unknown, about: { requestId: string; signal: AbortSignal }): Promise<unknown>
}

export interface GatewayApiOptions {
  readonly calls: readonly GatewayCall[]
  readonly key: ClusterKey
  /** On the backhaul, never on a public address. */
  readonly listen: { readonly host: string; readonly port: number }
  readonly clock: Clock
  readonly log: Log
}

const BODY_BYTES_MAX = 16_384
const ANSWER_MS_MAX = 20_000

/**
 * What hosts ask of a gateway, with the cluster's key: `POST <path>` with JSON, answered as `{result}` or
 * `{error}`. Questions and answers are signed, so that who stands in the middle cannot put itself in
 * anybody's place.
 */
export async function serveGatewayApi(options: GatewayApiOptions): Promise<ListeningServer> {
  const { listen, log } = options
  const server = createServer((request, response) => {
    answer(request, options).then(
      ({ text, headers }) => response.writeHead(200, headers).end(text),
      (err: unknown) => {
        const status = httpStatusOf(err)
        if (status >= 500) log.error({ err }, 'a host could not be answered')
        const { code, what } = err as { code?: string; what?: string }
        const error = {
          code: code ?? 'host.failed',
          what: what ?? 'internal: it failed',
          values: {},
        }
        response.writeHead(status).end(JSON.stringify({ error }))
      },
    )
  })
  return await listening(server, listen, 'finish')
}

async function answer(request: IncomingMessage, { calls, key, clock }: GatewayApiOptions) {
  const path = request.url ?? ''
  const call = calls.find((one) => one.path === path)
  const body = await bodyOf(request, call?.bodyBytesMax ?? BODY_BYTES_MAX)
  const header = (name: string) => String(request.headers[name] ?? '')
  const requestId = header(signedHeaders.requestId)
  const signed = { atMs: Number(header(signedHeaders.signedAt)), path, requestId, body }
  key.check(signed, header(signedHeaders.signature), clock.nowMs())
  if (call === undefined) throw refuse('flyd.not_found', 'not_found: no such call')
  const signal = AbortSignal.timeout(call.answerMsMax ?? ANSWER_MS_MAX)
  const result = await call.answer(parse(body), { requestId, signal })
  const text = JSON.stringify({ result })
  const answered = { atMs: clock.nowMs(), path: answerPath(path), requestId, body: text }
  const headers = {
    'content-type': 'application/json',
    [signedHeaders.signedAt]: String(answered.atMs),
    [signedHeaders.signature]: key.sign(answered),
  }
  return { text, headers }
}

async function bodyOf(request: IncomingMessage, bytesMax: number): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > bytesMax) throw refuse('flyd.argument_bad', 'invalid_argument: too long')
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}

/** @throws FlydError flyd.argument_bad */
function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch (cause) {
    throw refuse('flyd.argument_bad', 'invalid_argument: not JSON', cause)
  }
}
