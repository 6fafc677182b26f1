import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Clock, type Deadline, type Log, startDeadline, systemClock } from '#base'
import { refuse } from '../errors.ts'
import type { MachineHost } from '../host.ts'
import type { HostOperations } from '../host-operations.ts'
import { AnsweredCalls } from './answered-calls.ts'
import { BOOT, DEADLINE, REQUEST_ID, SIGN_OF_LIFE_MS, SIGNATURE, SIGNED_AT } from './api-headers.ts'
import type { ClusterKey } from './cluster-key.ts'
import { bodyOfError, HostApiError } from './errors.ts'
import { type HostCall, type HostCallName, hostCalls, runHostCall } from './host-calls.ts'
import { isStream, StreamServer } from './stream-server.ts'

export interface HostServerOptions {
  readonly host: MachineHost
  readonly operations: HostOperations
  readonly key: ClusterKey
  /** The backhaul's address of this host, never a public one. Port 0: any that is free. */
  readonly listen: { readonly host: string; readonly port: number }
  readonly log: Log
  readonly clock?: Clock
  /** Told of each answer, for figures. */
  readonly answered?: (name: string, status: number, ms: number) => void
}

/** A machine's configuration and files are at most 1 MiB; base64 and escapes make it longer. */
const BODY_BYTES_MAX = 4 * 1024 * 1024
const CONNECTIONS_MAX = 8_192
const DEADLINE_MS_DEFAULT = 60_000
const DEADLINE_MS_MAX = 10 * 60_000
const HEADERS_DEADLINE_MS = 10_000
const BODY_DEADLINE_MS = 30_000
/** Longer than callers keep theirs, so that they close first. */
const KEEP_ALIVE_MS = 75_000

/** A host's API while it is served. Disposing lets changes that are under way end, and reads not. */
export interface HostServer extends AsyncDisposable {
  readonly port: number
  /** Ends all connections now: what runs goes on unheard. */
  cut(): void
}

/** Serves `host` on the backhaul. */
export async function serveHost(options: HostServerOptions): Promise<HostServer> {
  const calls = new CallServer(options)
  const server = createServer(
    {
      headersTimeout: HEADERS_DEADLINE_MS,
      requestTimeout: BODY_DEADLINE_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      noDelay: true,
      shouldUpgradeCallback: isStream,
    },
    (request, response) => void calls.answer(request, response),
  )
  server.maxConnections = CONNECTIONS_MAX
  const streams = new StreamServer(options)
  server.on('upgrade', (request, socket, head) => void streams.serve(request, socket, head))
  await listen(server, options.listen)
  const { port } = server.address() as AddressInfo
  options.log.info({ address: options.listen.host, port }, 'serving this host on the backhaul')
  return {
    port,
    cut() {
      server.closeAllConnections()
      streams.end()
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      calls.drain()
      server.closeIdleConnections()
      streams.end()
      await closed
    },
  }
}

class CallServer {
  readonly #options: HostServerOptions
  readonly #clock: Clock
  readonly #answered: AnsweredCalls
  readonly #boot = randomUUID()
  readonly #draining = new AbortController()

  constructor(options: HostServerOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#answered = new AnsweredCalls(this.#clock)
  }

  drain(): void {
    this.#draining.abort(refuse('flyd.host_unreached', 'unavailable: this host is going away'))
  }

  /** Never rejects: whatever comes in, this process lives on. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedMs = this.#clock.monotonicMs()
    const name = nameOf(request)
    response.setHeader(BOOT, this.#boot)
    if (this.#draining.signal.aborted) response.setHeader('connection', 'close')
    let status = 200
    try {
      const result = await this.#run(name, request, response)
      send(response, 200, { result: result ?? null })
    } catch (error) {
      const body = bodyOfError(error)
      status = body.status
      if (status >= 500) this.#options.log.error({ err: error, call: name }, 'a call failed')
      send(response, status, { error: body })
    }
    const known = hostCalls.has(name as HostCallName) ? name : 'unknown'
    this.#options.answered?.(known, status, this.#clock.monotonicMs() - startedMs)
  }

  async #run(name: string, request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const body = await readBody(request)
    const requestId = headerOf(request, REQUEST_ID)
    this.#options.key.check(
      { atMs: Number(headerOf(request, SIGNED_AT)), path: request.url ?? '', requestId, body },
      headerOf(request, SIGNATURE),
      this.#clock.nowMs(),
    )
    const call = hostCalls.get(name as HostCallName)
    if (call === undefined || request.method !== 'POST') {
      throw refuse('flyd.argument_bad', `unimplemented: this host has no call ${name}`)
    }
    const args = parseArguments(body, call)
    this.#checkBoot(request)
    using signs = this.#showLife(response)
    void signs
    if (call.kind === 'read') return await this.#read(name as HostCallName, args, request, response)
    return await this.#answered.once(requestId, async () => {
      using deadline = deadlineOf(name, request, this.#clock)
      return runHostCall(this.#options, name as HostCallName, args, deadline.signal)
    })
  }

  async #read(
    name: HostCallName,
    args: readonly unknown[],
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<unknown> {
    const away = new AbortController()
    const onClose = () => away.abort(refuse('flyd.deadline_exceeded', 'canceled: the caller left'))
    response.once('close', onClose)
    try {
      const signal = AbortSignal.any([away.signal, this.#draining.signal])
      using deadline = deadlineOf(name, request, this.#clock, signal)
      return await runHostCall(this.#options, name, args, deadline.signal)
    } finally {
      response.off('close', onClose)
    }
  }

  /**
   * A call that is sent again after this process was restarted: its first run, if there was one, is known
   * no more.
   */
  #checkBoot(request: IncomingMessage): void {
    const expected = request.headers[BOOT]
    if (expected === undefined || expected === this.#boot) return
    throw refuse(
      'flyd.deadline_exceeded',
      'deadline_exceeded: the host was restarted, what became of the call is not known',
    )
  }

  /** An interim answer now and then: who waits knows that this host lives. */
  #showLife(response: ServerResponse): Disposable {
    const timer = setInterval(() => {
      if (!response.headersSent) response.writeProcessing()
    }, SIGN_OF_LIFE_MS)
    const end = () => clearInterval(timer)
    response.once('close', end) // the call may go on for long after its caller has left
    return { [Symbol.dispose]: end }
  }
}

const PATH = /^\/v1\/([a-z]+(?:[A-Z][a-z]+)*(?:\.[a-z]+(?:[A-Z][a-z]+)*)?)$/

const nameOf = ({ url = '' }: IncomingMessage): string => PATH.exec(url)?.[1] ?? ''

function headerOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name]
  if (typeof value === 'string' && value !== '') return value
  throw new HostApiError('host.denied', { what: `unauthenticated: the request has no ${name}` })
}

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > BODY_BYTES_MAX) {
      throw refuse('flyd.argument_bad', `invalid_argument: more than ${BODY_BYTES_MAX} bytes`)
    }
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}

function parseArguments(body: string, call: HostCall): readonly unknown[] {
  let args: unknown
  try {
    args = JSON.parse(body)
  } catch (cause) {
    throw refuse('flyd.argument_bad', 'invalid_argument: the arguments are no JSON', cause)
  }
  const problem = call.problem(args)
  if (problem !== undefined) throw refuse('flyd.argument_bad', `invalid_argument: ${problem}`)
  return args as readonly unknown[]
}

function deadlineOf(
  name: string,
  request: IncomingMessage,
  clock: Clock,
  signal?: AbortSignal,
): Deadline {
  const given = Number(request.headers[DEADLINE] ?? DEADLINE_MS_DEFAULT)
  const ms = Number.isFinite(given) ? Math.min(Math.max(given, 0), DEADLINE_MS_MAX) : 0
  return startDeadline(name, ms, { signal, clock })
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}

function listen(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
