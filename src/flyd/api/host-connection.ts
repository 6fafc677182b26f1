import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Clock, errorCode, type Random, startDeadline, ulidGenerator } from '#base'
import { type FlydError, refuse } from '../errors.ts'
import { BOOT, DEADLINE, REQUEST_ID, SIGNATURE, SIGNED_AT, SILENCE_MS_MAX } from './api-headers.ts'
import { Circuit } from './circuit.ts'
import type { ClusterKey } from './cluster-key.ts'
import { errorOfBody } from './errors.ts'
import type { HostCall } from './host-calls.ts'
import { STREAM_PROTOCOL } from './stream-server.ts'

export interface HostConnectionOptions {
  readonly hostId: string
  /** On the backhaul. */
  readonly address: string
  readonly port: number
  readonly key: ClusterKey
  readonly clock: Clock
  readonly random: Random
}

const CONNECT_MS_MAX = 3_000
/** Of all attempts that did not reach the host: as long as a restart of its process takes. */
const REACH_MS_MAX = 4_000
const RETRY_MS = 100
/** Repetitions of a call whose connection broke under way. */
const REPEATS_MAX = 2
/** Waits hold one each. */
const CALLS_MAX = 4_096
const ANSWER_BYTES_MAX = 32 * 1024 * 1024
const IDLE_MS = 30_000

/** How one attempt ended without an answer. */
class Broken {
  /** False: the request has not left this process. */
  readonly isSent: boolean
  readonly cause: unknown
  constructor(isSent: boolean, cause: unknown) {
    this.isSent = isSent
    this.cause = cause
  }
}

/** What calls one host: connections that are kept, a circuit that refuses at once when it is dead. */
export class HostConnection implements Disposable {
  readonly address: string
  readonly #options: HostConnectionOptions
  readonly #circuit: Circuit
  readonly #agent = new Agent({ keepAlive: true, timeout: IDLE_MS, maxFreeSockets: 32 })
  readonly #newRequestId: () => string
  #inFlight = 0
  /** Which start of the host's process answered last. */
  #boot: string | undefined

  constructor(options: HostConnectionOptions) {
    this.#options = options
    this.address = options.address
    this.#circuit = new Circuit(options.random)
    this.#newRequestId = ulidGenerator(options)
  }

  get isOpen(): boolean {
    return this.#circuit.isOpen
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }

  /**
   * @throws FlydError as the host says; flyd.host_unreached: nothing happened; flyd.deadline_exceeded: it
   *   may have. HostApiError.
   */
  async call(
    name: string,
    kind: HostCall['kind'],
    args: readonly unknown[],
    options: { signal: AbortSignal; deadlineMs: number },
  ): Promise<unknown> {
    const { signal } = options
    signal.throwIfAborted()
    const { clock, hostId } = this.#options
    if (this.#inFlight >= CALLS_MAX || !this.#circuit.admit(clock.monotonicMs())) {
      throw unreached(hostId, 'it does not answer')
    }
    this.#inFlight += 1
    using deadline = startDeadline(`${name} at host ${hostId}`, options.deadlineMs, {
      signal,
      clock,
    })
    const job = {
      path: `/v1/${name}`,
      body: JSON.stringify(args),
      requestId: this.#newRequestId(),
      endsAtMs: clock.monotonicMs() + options.deadlineMs,
      signal: deadline.signal,
      kind,
    }
    try {
      return await this.#untilAnswered(job)
    } catch (error) {
      if (deadline.signal.aborted) this.#circuit.gaveUp()
      throw signal.aborted ? signal.reason : error
    } finally {
      this.#inFlight -= 1
    }
  }

  /**
   * A stream to one of its machines. The signal is for the connecting alone.
   *
   * @throws as `call`
   */
  async openStream(path: string, signal: AbortSignal): Promise<Duplex> {
    const { clock, hostId } = this.#options
    signal.throwIfAborted()
    if (!this.#circuit.admit(clock.monotonicMs())) throw unreached(hostId, 'it does not answer')
    const request = this.#upgrade(path, signal)
    const { promise, resolve, reject } = Promise.withResolvers<Duplex>()
    request.on('upgrade', (_response, socket, head) => {
      if (head.length > 0) socket.unshift(head)
      resolve(socket)
    })
    request.on('response', (response) => {
      readBody(response).then((body) => reject(errorOfBody(body['error'] ?? {}, hostId)), reject)
    })
    request.on('error', (cause) => {
      if (signal.aborted) reject(signal.reason)
      else reject(unreached(hostId, errorCode(cause) ?? String(cause), cause))
    })
    try {
      const stream = await promise
      this.#circuit.succeeded()
      return stream
    } catch (error) {
      if (errorCode(error) === 'flyd.host_unreached') this.#circuit.failed(clock.monotonicMs())
      else if (signal.aborted) this.#circuit.gaveUp()
      else this.#circuit.succeeded()
      throw error
    }
  }

  #upgrade(path: string, signal: AbortSignal): ClientRequest {
    const { address, port, key, clock } = this.#options
    const requestId = this.#newRequestId()
    const atMs = clock.nowMs()
    const request = httpRequest({
      ...{ host: address, port, path, method: 'GET', agent: false },
      headers: {
        connection: 'Upgrade',
        upgrade: STREAM_PROTOCOL,
        [REQUEST_ID]: requestId,
        [SIGNED_AT]: atMs,
        [SIGNATURE]: key.sign({ atMs, path, requestId, body: '' }),
      },
    })
    const onAbort = () => request.destroy(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    request.once('close', () => signal.removeEventListener('abort', onAbort))
    request.once('upgrade', () => signal.removeEventListener('abort', onAbort))
    const timer = clock.setTimer(
      () => request.destroy(new Error('no answer in time')),
      SILENCE_MS_MAX,
    )
    for (const event of ['upgrade', 'response', 'error']) {
      request.once(event, () => timer[Symbol.dispose]())
    }
    request.end()
    return request
  }

  async #untilAnswered(job: Job): Promise<unknown> {
    const { clock } = this.#options
    const startedMs = clock.monotonicMs()
    let sent: Broken | undefined
    let boot: string | undefined
    for (let repeats = 0; ; ) {
      const attempt = await this.#attempt(job, boot)
      if (!(attempt instanceof Broken)) return attempt.result
      const nowMs = clock.monotonicMs()
      this.#circuit.failed(nowMs)
      if (attempt.isSent) {
        sent = attempt
        repeats += 1
        boot = this.#bootForRepeat(job)
        if (boot === 'unknown' || repeats > REPEATS_MAX) throw this.#lost(attempt)
      }
      const isLate = nowMs - startedMs > REACH_MS_MAX || job.signal.aborted
      if (isLate || this.#circuit.isOpen) throw sent ? this.#lost(sent) : this.#unreached(attempt)
      await clock.sleep(RETRY_MS + this.#options.random.int(RETRY_MS), job.signal).catch(() => {
        throw sent ? this.#lost(sent) : this.#unreached(attempt)
      })
    }
  }

  /** `unknown`: it must not be sent again, for nobody could tell that it was the second time. */
  #bootForRepeat({ kind }: Job): string | undefined {
    return kind === 'once' ? (this.#boot ?? 'unknown') : undefined
  }

  /** Of an answer its result, or throws what it says. */
  async #attempt(job: Job, boot: string | undefined): Promise<{ result: unknown } | Broken> {
    const exchange = new Exchange(this.#send(job, boot), this.#options.clock, job.signal)
    const answer = await exchange.ended
    if (answer instanceof Broken) {
      if (answer.cause === job.signal.reason && !answer.isSent) throw this.#unreached(answer)
      if (answer.cause === job.signal.reason) throw this.#lost(answer)
      return answer
    }
    this.#circuit.succeeded()
    this.#boot = String(answer.headers[BOOT] ?? '') || this.#boot
    if (answer.status === 200) return { result: answer.body['result'] }
    throw errorOfBody(answer.body['error'] ?? {}, this.#options.hostId)
  }

  #send({ path, body, requestId, endsAtMs }: Job, boot: string | undefined): ClientRequest {
    const { address, port, key, clock } = this.#options
    const atMs = clock.nowMs()
    const request = httpRequest({
      host: address,
      port,
      path,
      method: 'POST',
      agent: this.#agent,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        [REQUEST_ID]: requestId,
        [DEADLINE]: Math.max(0, Math.floor(endsAtMs - clock.monotonicMs())),
        [SIGNED_AT]: atMs,
        [SIGNATURE]: key.sign({ atMs, path, requestId, body }),
        ...(boot === undefined ? {} : { [BOOT]: boot }),
      },
    })
    request.end(body)
    return request
  }

  #unreached({ cause }: Broken): FlydError {
    return unreached(this.#options.hostId, errorCode(cause) ?? String(cause), cause)
  }

  #lost({ cause }: Broken): FlydError {
    const { hostId } = this.#options
    const what = `deadline_exceeded: host ${hostId} stopped answering`
    return refuse('flyd.deadline_exceeded', what, cause)
  }
}

interface Job {
  readonly path: string
  readonly body: string
  readonly requestId: string
  readonly endsAtMs: number
  readonly signal: AbortSignal
  readonly kind: HostCall['kind']
}

interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Record<string, unknown>
}

/** One request on one connection, until its answer is whole or cannot come any more. */
class Exchange {
  readonly ended: Promise<HttpAnswer | Broken>
  readonly #request: ClientRequest
  readonly #clock: Clock
  #isConnected = false
  #timer: Disposable | undefined

  constructor(request: ClientRequest, clock: Clock, signal: AbortSignal) {
    this.#request = request
    this.#clock = clock
    const { promise, resolve } = Promise.withResolvers<HttpAnswer | Broken>()
    const onAbort = () => request.destroy(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    this.#expectWithin(CONNECT_MS_MAX, 'no connection in time')
    request.on('socket', (socket) => {
      if (!socket.connecting) return this.#connected()
      socket.once('connect', () => this.#connected())
    })
    request.on('information', () => this.#heard())
    request.on('response', (response) => void this.#read(response).then(resolve))
    request.on('error', (cause) =>
      resolve(new Broken(this.#isConnected, signal.aborted ? signal.reason : cause)),
    )
    this.ended = promise.finally(() => {
      signal.removeEventListener('abort', onAbort)
      this.#timer?.[Symbol.dispose]()
    })
  }

  #connected(): void {
    this.#isConnected = true
    this.#heard()
  }

  #heard(): void {
    this.#expectWithin(SILENCE_MS_MAX, 'silent for too long')
  }

  #expectWithin(ms: number, what: string): void {
    this.#timer?.[Symbol.dispose]()
    this.#timer = this.#clock.setTimer(() => this.#request.destroy(new Error(what)), ms)
  }

  async #read(response: IncomingMessage): Promise<HttpAnswer | Broken> {
    const parts: Buffer[] = []
    let bytes = 0
    try {
      for await (const part of response as AsyncIterable<Buffer>) {
        this.#heard()
        bytes += part.length
        if (bytes > ANSWER_BYTES_MAX) throw new Error('an answer that is too long')
        parts.push(part)
      }
      const body: unknown = JSON.parse(Buffer.concat(parts).toString())
      return {
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {},
      }
    } catch (cause) {
      this.#request.destroy()
      return new Broken(true, cause)
    }
  }
}

async function readBody(response: IncomingMessage): Promise<Record<string, unknown>> {
  const parts: Buffer[] = []
  for await (const part of response as AsyncIterable<Buffer>) parts.push(part)
  return JSON.parse(Buffer.concat(parts).toString()) as Record<string, unknown>
}

const unreached = (hostId: string, why: string, cause?: unknown) =>
  refuse('flyd.host_unreached', `unavailable: host ${hostId} cannot be reached: ${why}`, cause)
