import { timingSafeEqual } from 'node:crypto'
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Log } from '#base'
import { ApiError } from './api-error.ts'
import type { ApiHost } from './api-host.ts'
import { parseBody, statementOf, statementsOf, tablesOf } from './json-body.ts'
import { streamQuery } from './queries.ts'
import { QueryString } from './query-string.ts'
import { healthReport, tableStats } from './reports.ts'
import { openSubscription, streamSubscription } from './subscribe.ts'
import { runTransaction } from './transactions.ts'
import { streamUpdates } from './updates.ts'

export interface ApiOptions {
  readonly host: string
  /** 0 for any free one. */
  readonly port: number
  /** Requests must bear this token. */
  readonly bearerToken?: string
  /** Requests that name another endpoint are misdirected. */
  readonly endpointName?: string
}

interface Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly query: QueryString
  /** What the path names behind the route. */
  readonly rest: string
}

interface Route {
  readonly method: 'GET' | 'POST'
  readonly concurrency: number
  /** A stream counts as in flight only until it begins. */
  readonly handle: (call: Call, begun: () => void) => Promise<void>
}

const CONCURRENCY = 128
const CONCURRENCY_REPORTS = 4
const BODY_BYTES_MAX = 256 * 1_048_576
const QUERY_TIMEOUT_S = 60
const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const FIRST_BYTES_MS = 30_000

/** Corrosion's HTTP API, over HTTP/1.1 and over HTTP/2 without TLS on the same port. */
export class ApiServer {
  readonly #host: ApiHost
  readonly #options: ApiOptions
  readonly #log: Log
  readonly #inFlight = new Map<string, number>()
  readonly #sockets = new Set<Socket>()
  readonly #routes: ReadonlyMap<string, Route>
  readonly #server: Server

  private constructor(host: ApiHost, options: ApiOptions, log: Log) {
    this.#host = host
    this.#options = options
    this.#log = log
    this.#routes = this.#makeRoutes()
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      void this.#answer(request, response)
    }
    const http1 = createHttp({ keepAliveTimeout: 60_000 }, answer)
    const http2 = createHttp2(answer as never)
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', (error) => log.debug({ err: error }, 'API connection broke'))
      chooseProtocol(socket, (isHttp2) => (isHttp2 ? http2 : http1).emit('connection', socket))
    })
  }

  /** @throws what listening says, EADDRINUSE for one */
  static async listen(host: ApiHost, options: ApiOptions, log: Log): Promise<ApiServer> {
    const server = new ApiServer(host, options, log)
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject)
      server.#server.listen(options.port, options.host, () => {
        server.#server.off('error', reject)
        resolve()
      })
    })
    return server
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Stops listening and ends all connections. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #makeRoutes(): ReadonlyMap<string, Route> {
    const post = (handle: Route['handle'], concurrency = CONCURRENCY): Route => {
      return { method: 'POST', concurrency, handle }
    }
    return new Map<string, Route>([
      ['/v1/transactions', post((call) => this.#transactions(call))],
      ['/v1/queries', post((call) => this.#queries(call))],
      ['/v1/subscriptions', post((call, begun) => this.#subscribe(call, begun))],
      [
        '/v1/subscriptions/',
        {
          method: 'GET',
          concurrency: CONCURRENCY,
          handle: (call, begun) => this.#resubscribe(call, begun),
        },
      ],
      ['/v1/updates/', post((call, begun) => this.#updates(call, begun))],
      ['/v1/table_stats', post((call) => this.#tableStats(call), CONCURRENCY_REPORTS)],
      [
        '/v1/health',
        {
          method: 'GET',
          concurrency: CONCURRENCY_REPORTS,
          handle: async ({ response, query }) => {
            sendJson(response, healthReport(this.#host, query))
          },
        },
      ],
    ])
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      this.#checkCaller(request)
      const [path = '', search = ''] = (request.url ?? '').split('?', 2)
      const found = this.#find(path)
      if (found === undefined) throw ApiError.empty(404)
      const [name, route, rest] = found
      if (request.method !== route.method) throw ApiError.empty(405, { allow: route.method })
      await this.#run(name, route, { request, response, query: new QueryString(search), rest })
    } catch (error) {
      this.#fail(response, error)
    }
  }

  #find(path: string): [string, Route, string] | undefined {
    const exact = this.#routes.get(path)
    if (exact !== undefined && !path.endsWith('/')) return [path, exact, '']
    const slash = path.lastIndexOf('/') + 1
    const [parent, rest] = [path.slice(0, slash), path.slice(slash)]
    const route = this.#routes.get(parent)
    return route === undefined || rest === '' ? undefined : [parent, route, rest]
  }

  async #run(name: string, route: Route, call: Call): Promise<void> {
    const before = this.#inFlight.get(name) ?? 0
    if (before >= route.concurrency) throw ApiError.text(503, 'max concurrency limit reached')
    this.#inFlight.set(name, before + 1)
    let isCounted = true
    const begun = () => {
      if (isCounted) this.#inFlight.set(name, (this.#inFlight.get(name) ?? 1) - 1)
      isCounted = false
    }
    try {
      await route.handle(call, begun)
    } finally {
      begun()
    }
  }

  #checkCaller({ headers }: IncomingMessage): void {
    const { endpointName, bearerToken } = this.#options
    const wanted = headers['x-corrosion-requested-endpoint-name']
    if (wanted !== undefined && wanted !== endpointName) throw ApiError.empty(421)
    if (bearerToken === undefined) return
    const { authorization } = headers
    if (authorization === undefined) throw ApiError.empty(401)
    const [, token] = /^bearer +(.*)$/i.exec(authorization) ?? []
    if (token === undefined) throw ApiError.text(400, 'invalid HTTP header (authorization)')
    if (!sameText(token, bearerToken)) throw ApiError.empty(401)
  }

  async #transactions({ request, response, query }: Call): Promise<void> {
    const timeout = query.count('timeout')
    const statements = statementsOf(parseBody(await readBody(request)))
    const timeoutMs = timeout === undefined || timeout === 0 ? undefined : timeout * 1_000
    sendJson(response, runTransaction(this.#host, statements, timeoutMs))
  }

  async #queries({ request, response, query }: Call): Promise<void> {
    const timeout = query.count('timeout') ?? QUERY_TIMEOUT_S
    const statement = statementOf(parseBody(await readBody(request)))
    await streamQuery(this.#host, statement, timeout * 1_000, response)
  }

  async #subscribe({ request, response, query }: Call, begun: () => void): Promise<void> {
    const options = { from: query.count('from'), skipRows: query.flag('skip_rows') }
    const statement = statementOf(parseBody(await readBody(request)))
    const live = openSubscription(this.#host, statement, options)
    begun()
    await streamSubscription(live, options, response)
  }

  async #resubscribe({ response, query, rest }: Call, begun: () => void): Promise<void> {
    const options = { from: query.count('from'), skipRows: query.flag('skip_rows') }
    if (!/^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(rest)) {
      const why = 'UUID parsing failed: expected 32 hexadecimal digits'
      throw ApiError.text(400, `Invalid URL: Cannot parse \`id\` with value \`${rest}\`: ${why}`)
    }
    const live = this.#host.subscriptions.byId(rest.toLowerCase())
    if (live === undefined) {
      throw ApiError.json(404, { error: `could not find subscription with id ${rest}` })
    }
    begun()
    await streamSubscription(live, options, response)
  }

  async #updates({ request, response, rest }: Call, begun: () => void): Promise<void> {
    request.resume()
    begun()
    await streamUpdates(this.#host, decodeURIComponent(rest), response)
  }

  async #tableStats({ request, response }: Call): Promise<void> {
    sendJson(response, tableStats(this.#host, tablesOf(parseBody(await readBody(request)))))
  }

  #fail(response: ServerResponse, error: unknown): void {
    if (response.headersSent) {
      this.#log.warn({ err: error }, 'a stream of the API broke')
      response.destroy()
      return
    }
    const shown =
      error instanceof ApiError ? error : ApiError.text(500, 'internal error, see the agent log')
    if (shown !== error) this.#log.error({ err: error }, 'a request to the API failed')
    const { status, body, contentType, headers } = shown
    response.writeHead(status, {
      ...headers,
      ...(contentType === null ? {} : { 'content-type': contentType }),
      'content-length': Buffer.byteLength(body),
    })
    response.end(body)
  }
}

/** HTTP/2 with prior knowledge begins with a fixed preface. */
function chooseProtocol(socket: Socket, chosen: (isHttp2: boolean) => void): void {
  let head: Buffer = Buffer.alloc(0)
  socket.setTimeout(FIRST_BYTES_MS, () => socket.destroy())
  const onData = (chunk: Buffer) => {
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk])
    const length = Math.min(head.length, HTTP2_PREFACE.length)
    const mayBeHttp2 = head.subarray(0, length).equals(HTTP2_PREFACE.subarray(0, length))
    if (mayBeHttp2 && head.length < HTTP2_PREFACE.length) return
    socket.off('data', onData)
    socket.setTimeout(0)
    socket.removeAllListeners('timeout')
    socket.pause()
    socket.unshift(head)
    chosen(mayBeHttp2)
    process.nextTick(() => socket.resume())
  }
  socket.on('data', onData)
}

/** @throws ApiError 413, 415 */
async function readBody(request: IncomingMessage): Promise<string> {
  const type = request.headers['content-type'] ?? ''
  if (!/^application\/([a-z0-9.-]+\+)?json\s*(;|$)/i.test(type)) {
    request.resume()
    throw ApiError.text(415, 'Expected request with `Content-Type: application/json`')
  }
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += (chunk as Buffer).length
    if (size > BODY_BYTES_MAX) throw ApiError.text(413, 'the request body is too large')
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString()
}

function sendJson(response: ServerResponse, body: string): void {
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  })
  response.end(body)
}

function sameText(a: string, b: string): boolean {
  const [x, y] = [Buffer.from(a), Buffer.from(b)]
  return x.length === y.length && timingSafeEqual(x, y)
}
