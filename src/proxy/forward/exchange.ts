import type { RequestHead } from '../http1/request-head.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import type { RequestHop } from '../http1/write-request.ts'
import type { Memory } from '../net/memory.ts'
import type { Decision, Lease, LeaseResult, ToMachine, ToRemote } from '../route.ts'
import type { BackendConnection, BackendUser } from './backend-connection.ts'
import { Compression } from './compression.ts'
import type { Downstream } from './downstream.ts'
import type { Engine } from './engine.ts'
import { ReplayBody } from './replay-body.ts'
import type { HttpFacts } from './request-facts.ts'
import { RequestSender } from './request-sender.ts'
import { responseQuestion } from './response-question.ts'
import { ResponseReader, type ResponseSink } from './response-reader.ts'
import { type RouteAsker, RouteQuestion } from './route-question.ts'
import { Upstream } from './upstream.ts'

const Phase = { idle: 0, routing: 1, connecting: 2, waiting: 3, body: 4, replayBody: 5 } as const
type Phase = (typeof Phase)[keyof typeof Phase]

/**
 * One request and its response, over as many attempts as it takes. Reused for each request of a
 * connection. It owns the kept request and, through its `Upstream`, the lease and the connection to a
 * machine; all are given back before `#finish`.
 */
export class Exchange implements BackendUser, ResponseSink, RouteAsker {
  readonly #engine: Engine
  readonly #client: Downstream
  /** Who is told the response: the client, or what encodes it on the way there. */
  #out: Downstream
  /** Undefined: this service's responses go as they are. */
  #compression: Compression | undefined
  readonly #facts: HttpFacts
  readonly requestId: Buffer
  readonly #request: RequestSender
  #phase: Phase = Phase.idle
  readonly #question: RouteQuestion
  readonly #upstream: Upstream
  // of the response
  readonly #reader: ResponseReader
  #isPersistent = false
  readonly #replayBody = new ReplayBody()
  /** A final head was told to the client. */
  #isAnswered = false
  status = 0
  receivedBytes = 0

  constructor(engine: Engine, client: Downstream, facts: HttpFacts, hop: RequestHop) {
    this.#engine = engine
    this.#client = client
    this.#out = client
    this.#facts = facts
    this.requestId = Buffer.alloc(engine.requestIds.bytes)
    this.#question = new RouteQuestion(engine, this)
    this.#upstream = new Upstream(engine, this, facts)
    this.#request = new RequestSender(engine, hop, this.requestId)
    this.#reader = new ResponseReader(this, engine.heads, engine.limits.headBytesMax)
  }

  get isActive(): boolean {
    return this.#phase !== Phase.idle
  }
  get isRepeatable(): boolean {
    return this.#request.isIdempotent
  }
  get isRequestDone(): boolean {
    return this.#request.isDone
  }
  get startUs(): number {
    return this.#request.startUs
  }
  get sentBytes(): number {
    return this.#request.sentBytes
  }
  get machine(): string {
    return this.#upstream.machine
  }
  /** How long the connection under way has taken. */
  connectingMs(nowMs: number): number {
    return this.#phase === Phase.connecting ? this.#upstream.waitedMs(nowMs) : 0
  }
  get takesResponse(): boolean {
    return (
      this.#phase === Phase.waiting || this.#phase === Phase.replayBody || this.#out.takesResponse
    )
  }
  /** More of the request's body may be read from the client. */
  get takesRequest(): boolean {
    return (
      (this.#phase === Phase.waiting || this.#phase === Phase.body) &&
      this.#upstream.connection?.outbox.isFull === false
    )
  }

  /** The next request gets its id: also one that is refused without an exchange. HOT. */
  nameRequest(): void {
    this.#engine.requestIds.writeNext(this.requestId)
  }

  /**
   * Begins with the head that was just parsed, of a request that has its id; its bytes are copied. HOT.
   * @returns false when the proxy is at its memory bound.
   */
  begin(head: RequestHead, start: number, end: number): boolean {
    this.#isAnswered = false
    this.#out = this.#client
    if (this.#facts.entrance.compress) this.#beginCompression(head)
    else this.#compression = undefined
    this.status = 0
    this.receivedBytes = 0
    this.#upstream.begin()
    if (!this.#request.begin(head, start, end)) return false
    this.#engine.counters.requestsActive += 1
    this.#route(head)
    return true
  }

  #beginCompression({ lines }: RequestHead): void {
    this.#compression ??= new Compression(this.#engine, this.#client, () =>
      this.#upstream.connection?.pump(),
    )
    this.#compression.begin(lines.find('accept-encoding'))
  }

  // ---- where to

  #route(head: RequestHead): void {
    const facts = this.#facts
    facts.begin(head, this.requestId, this.#upstream.attempts)
    this.#phase = Phase.routing
    this.#question.ask(facts, head)
  }

  decided(decision: Decision, head: RequestHead | undefined): void {
    if (decision.kind === 'refuse') this.#fail(decision.status, decision.code)
    else if (decision.kind === 'redirect') this.#fail(decision.status, '', decision.location)
    else this.#connect(decision, head ?? this.#request.headAgain())
    if (head === undefined) this.requestFlush()
  }

  undecided(): void {
    this.#fail(502, 'PU04')
  }

  #connect(to: ToMachine | ToRemote, head: RequestHead): void {
    const backend = this.#upstream.open(to)
    if (typeof backend === 'string') {
      this.#retry('connect-failed', backend)
      return
    }
    this.#reader.begin(head.isHead)
    const { isConnecting } = backend
    this.#phase = isConnecting ? Phase.connecting : Phase.waiting
    this.#request.send(to, head, backend.outbox)
    // One send for head and body when the body is here already: the caller flushes.
    if (this.#request.isDone || this.#upstream.attempts.length > 0) backend.outbox.flush()
    if (!isConnecting) this.#client.requestDrained()
  }

  connected(backend: BackendConnection): void {
    if (backend !== this.#upstream.connection) return
    this.#phase = Phase.waiting
    this.#upstream.connected()
    if (backend.outbox.drain()) this.#client.requestDrained()
  }

  connectFailed(backend: BackendConnection, result: LeaseResult, code: string): void {
    if (backend !== this.#upstream.connection) return
    if (result === 'no-response') {
      this.#breakOff(result, 502, code)
      return
    }
    this.#closeBackend()
    this.#retry(result, code)
    this.requestFlush()
  }

  /** The connection did not come about in time. */
  connectTimedOut(): void {
    this.#closeBackend()
    this.#retry('connect-failed', 'PC05')
  }

  /** Another attempt, when nothing is lost by it and one is left. */
  #retry(result: LeaseResult, code: string): void {
    this.#upstream.failed(result, this.sentBytes, this.receivedBytes)
    this.#engine.counters.retries += 1
    const { attemptsMax } = this.#engine.limits
    if (this.#upstream.attempts.length >= attemptsMax || !this.#request.isWhole) {
      this.#fail(502, code)
      return
    }
    this.#route(this.#request.headAgain())
  }

  // ---- the request's body

  /** memory[start, start + length) of the body, without its framing. */
  requestData(memory: Memory, start: number, length: number): void {
    this.#request.data(memory, start, length, this.#upstream.connection?.outbox)
  }

  requestEnd(trailer: Buffer | undefined): void {
    this.#request.end(trailer, this.#upstream.connection?.outbox)
  }

  /** What was staged of the request in this turn goes out. */
  requestFlush(): void {
    this.#upstream.connection?.outbox.flush()
  }

  /** The machine takes more of the request. */
  backendDrained(): void {
    this.#client.requestDrained()
  }

  // ---- the response

  /** The client takes more of the response. */
  responseDrained(): void {
    this.#compression?.clientDrained()
    this.#upstream.connection?.pump()
  }

  responseFlush(): void {
    this.#out.responseFlush()
  }

  /** memory[start, end) came from the machine. HOT. */
  responseBytes(memory: Memory, start: number, end: number): void {
    this.receivedBytes += end - start
    this.#reader.read(memory, start, end)
  }

  informed(head: ResponseHead): void {
    this.#client.responseHead(head)
  }

  headRead(head: ResponseHead): void {
    this.status = head.status
    this.#isPersistent = head.isPersistent
    const canReplay = this.#request.isWhole && this.#request.isDone
    const verdict = this.#upstream.lease?.responded(responseQuestion.of(head, canReplay))
    if (verdict === undefined) {
      this.#phase = Phase.body
      this.#isAnswered = true
      if (this.#compression !== undefined)
        this.#out = this.#compression.responseTo(head, this.#facts.entrance.response)
      this.#out.responseHead(head)
    } else if (verdict === 'read-body') {
      this.#phase = Phase.replayBody
    } else this.#replay(verdict)
  }

  bodyRead(memory: Memory, start: number, length: number): void {
    if (this.#phase === Phase.body) this.#out.responseData(memory, start, length)
    else if (!this.#replayBody.add(memory, start, length))
      this.#breakOff('no-response', 502, 'PA03')
  }

  responseRead(trailer: Buffer | undefined, hasExcess: boolean): void {
    if (this.#phase === Phase.body) this.#responseDone(trailer, hasExcess)
    else this.#replayBodyDone()
  }

  unreadable(fault: string): void {
    this.#engine.log.debug({ machine: this.machine, fault }, 'malformed response')
    if (this.#phase === Phase.replayBody) this.#breakOff('no-response', 502, 'PA03')
    else {
      const result = this.#isAnswered ? 'broken' : 'no-response'
      this.#breakOff(result, fault === 'memory' ? 503 : 502, 'PU02')
    }
  }

  #responseDone(trailer: Buffer | undefined, hasExcess: boolean): void {
    this.#upstream.give(this.#isPersistent && !hasExcess && this.#request.isDone)
    this.#release('done')
    this.#finish()
    this.#out.responseEnd(trailer)
    this.#out.responseFlush() // the backend that would do it has no exchange any more
  }

  /** The machine ended its direction (0), or the connection broke (negated errno). */
  backendEnded(result: number): void {
    if (this.#phase === Phase.body && this.#reader.endsWithConnection && result === 0) {
      this.#isPersistent = false
      this.#responseDone(undefined, false)
      return
    }
    if (this.#phase === Phase.body || this.#phase === Phase.replayBody) {
      this.#breakOff('broken', 502, 'PC03')
      return
    }
    const isDoubtful = this.#upstream.connection?.isDoubtful === true
    const { isUntouched } = this.#reader
    this.#closeBackend()
    // An idle connection may die under the request, and a path to another host: the machine has hardly acted on
    // it then, and for an idempotent one it would not matter (RFC 9110, section 9.2.2).
    if (isDoubtful && isUntouched && this.isRepeatable && this.#request.isWhole)
      this.#retry('no-response', 'PC03')
    else this.#breakOff('no-response', 502, result === 0 ? 'PU02' : 'PC03')
  }

  switched(head: ResponseHead, memory: Memory, start: number, end: number): void {
    const backend = this.#upstream.connection
    if (!this.#request.isUpgrade || backend === undefined || !head.hasConnectionUpgrade) {
      this.#breakOff('no-response', 502, 'PU02')
      return
    }
    const { isToWebSocket } = head
    this.status = 101
    this.#isAnswered = true
    this.#client.responseHead(head)
    this.#client.responseFlush()
    this.#upstream.takeConnection()
    this.#finish()
    this.#client.upgraded(backend, Buffer.from(memory.bytes.subarray(start, end)), isToWebSocket)
  }

  /** The lease goes to who carries the upgraded connection on. */
  takeLease(): Lease | undefined {
    return this.#upstream.takeLease()
  }

  // ---- fly-replay

  #replay(next: Decision | Promise<Decision>): void {
    this.#closeBackend()
    this.#release('replayed')
    this.#engine.counters.replays += 1
    this.#phase = Phase.routing
    this.#question.follow(next, undefined)
  }

  #replayBodyDone(): void {
    const next = this.#upstream.lease?.replayBody(this.#replayBody.take())
    if (next === undefined) this.#breakOff('no-response', 502, 'PA03')
    else this.#replay(next)
  }

  // ---- ends

  /** The client went away or misbehaved: nothing is told to it any more. */
  abort(result: LeaseResult = 'client-gone'): void {
    this.#compression?.cancel()
    if (this.#phase === Phase.idle) return
    this.#facts.abort()
    this.#closeBackend(true)
    this.#release(result)
    this.#finish()
  }

  /** No byte came for too long. */
  timedOut(): void {
    if (this.#phase === Phase.routing) this.#facts.abort()
    this.#breakOff('timed-out', this.#phase === Phase.routing ? 503 : 504, 'PC05')
  }

  #breakOff(result: LeaseResult, status: number, code: string): void {
    const wasAnswered = this.#isAnswered
    this.#closeBackend()
    this.#release(wasAnswered && result === 'no-response' ? 'broken' : result)
    if (wasAnswered) {
      this.#finish()
      this.#out.broken()
    } else this.#fail(status, code)
  }

  #fail(status: number, code: string, location?: string): void {
    this.status = status
    this.#isAnswered = true
    if (code !== '') this.#engine.counters.fault(code)
    this.#finish()
    this.#client.failed(status, code, location)
    this.#client.responseFlush()
  }

  #closeBackend(isAbort = false): void {
    this.#reader.stop()
    this.#upstream.close(isAbort)
  }

  #release(result: LeaseResult): void {
    this.#upstream.release(result, this.sentBytes, this.receivedBytes)
  }

  #finish(): void {
    this.#question.drop()
    this.#replayBody.take()
    this.#request.give()
    this.#reader.stop()
    this.#phase = Phase.idle
    this.#engine.counters.requestsActive -= 1
  }
}
