import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { Duplex } from 'node:stream'
import { errorCode } from '#base'
import { ApiError } from './errors.ts'

const ANSWER_BYTES_MAX = 64 * 2 ** 20
const CONNECTIONS_MAX = 32

export interface Sent {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Buffer | undefined
}

export interface Received {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** One HTTP request on kept connections. Any status is an answer. */
export class Exchange implements Disposable {
  readonly #http = new HttpAgent({ keepAlive: true, maxSockets: CONNECTIONS_MAX })
  readonly #https: HttpsAgent
  readonly #trusted: { readonly ca?: string }

  /** @param ca trusted beside the system's authorities, as PEM. */
  constructor(ca?: string) {
    this.#trusted = ca === undefined ? {} : { ca }
    this.#https = new HttpsAgent({
      keepAlive: true,
      maxSockets: CONNECTIONS_MAX,
      ...this.#trusted,
    })
  }

  /** @throws ApiError api.unreachable, api.untrusted; the signal's reason */
  async send(sent: Sent, signal: AbortSignal): Promise<Received> {
    signal.throwIfAborted()
    try {
      return await this.#send(sent, signal)
    } catch (cause) {
      signal.throwIfAborted()
      throw cause instanceof ApiError ? cause : connectionFailed(sent, cause)
    }
  }

  #send({ method, url, headers, body }: Sent, signal: AbortSignal): Promise<Received> {
    return new Promise((resolve, reject) => {
      const isSecure = url.protocol === 'https:'
      const request = (isSecure ? requestHttps : requestHttp)(url, {
        method,
        headers: {
          ...headers,
          ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
        },
        agent: isSecure ? this.#https : this.#http,
        signal,
      })
      request.on('error', reject)
      request.on('response', (response) => {
        readAll(response).then(
          (bytes) =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes }),
          reject,
        )
      })
      request.end(body)
    })
  }

  /**
   * A request whose connection becomes a stream, when the server agrees.
   *
   * @returns the stream, or the answer of a server that does not
   * @throws as `send`
   */
  async upgrade(
    { method, url, headers }: Sent,
    protocol: string,
    signal: AbortSignal,
  ): Promise<Duplex | Received> {
    signal.throwIfAborted()
    const isSecure = url.protocol === 'https:'
    const request = (isSecure ? requestHttps : requestHttp)(url, {
      method,
      headers: { ...headers, connection: 'Upgrade', upgrade: protocol },
      agent: isSecure ? new HttpsAgent(this.#trusted) : new HttpAgent(),
    })
    const onAbort = () => request.destroy(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await new Promise((resolve, reject) => {
        request.on('error', reject)
        request.on('upgrade', (_response, socket, head) => {
          if (head.length > 0) socket.unshift(head)
          resolve(socket)
        })
        request.on('response', (response) => {
          const { statusCode: status = 0 } = response
          readAll(response).then(
            (body) => resolve({ status, headers: response.headers, body }),
            reject,
          )
        })
        request.end()
      })
    } catch (cause) {
      signal.throwIfAborted()
      throw cause instanceof ApiError ? cause : connectionFailed({ url }, cause)
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  [Symbol.dispose](): void {
    this.#http.destroy()
    this.#https.destroy()
  }
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of response) {
    bytes += piece.length
    if (bytes > ANSWER_BYTES_MAX) {
      response.destroy()
      throw new ApiError('api.answer_bad', {
        what: 'the answer is too large',
        values: { bytesMax: ANSWER_BYTES_MAX },
      })
    }
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_HAS_EXPIRED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

function connectionFailed({ url }: Pick<Sent, 'url'>, cause: unknown): ApiError {
  const why = errorCode(cause) ?? (cause instanceof Error ? cause.message : String(cause))
  const values = { server: url.origin, why }
  if (UNTRUSTED.has(why)) {
    return new ApiError('api.untrusted', {
      what: "the API's certificate is not trusted",
      values,
      fix: 'name the platform’s CA with --ca or GODWIT_CA; if it has been changed, its operator has the new ca.pem',
      cause,
    })
  }
  return new ApiError('api.unreachable', {
    what: 'the API cannot be reached',
    values,
    fix: 'look at its address (--api or GODWIT_API), and whether it runs',
    cause,
  })
}
