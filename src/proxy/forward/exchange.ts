import { isText } from '../http1/field-lines.ts'
import type { RequestHead } from '../http1/request-head.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import type { RequestHop } from '../http1/write-request.ts'
import type { Memory } from '../net/memory.ts'
import { addTime } from '../observe/counters.ts'
import type { Attempt, Decision, Lease, LeaseResult, ToMachine, ToRemote } from '../route.ts'
import type { BackendConnection, BackendUser } from './backend-connection.ts'
import { Compression } from './compression.ts'
import type { Downstream } from './downstream.ts'
import type { Engine } from './engine.ts'
import { openBackend } from './open-backend.ts'
import { ReplayBody } from './replay-body.ts'
import type { HttpFacts } from './request-facts.ts'
import { RequestSender } from './request-sender.ts'
import { responseQuestion } from './response-question.ts'
import { ResponseReader, type ResponseSink } from './response-reader.ts'
import { type RouteAsker, RouteQuestion } from './route-question.ts'

const Phase = { idle: 0, routing: 1, connecting: 2, waiting: 3, body: 4, replayBody: 5 } as const
type Phase = (typeof Phase)[keyof typeof Phase]

const NO_ATTEMPTS: readonly Attempt[] = []

/**
 * One request and its response, over as many attempts as it takes. Reused for each request of a
 * connection. It owns the lease, the backend connection and the kept request, and gives all three back
 * exactly once, in `#finish`.
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
  #backend: BackendConnection | undefined
  #lease: Lease | undefined
  #attempts: Attempt[] | undefined
  #connectStartMs = 0
  // of the request
  #isHead = false
  #isIdempotent = false
  #isUpgrade = false
  // of the response
  readonly #reader: ResponseReader
  #isPersistent = false
  readonly #replayBody = new ReplayBody()
  #isAnswered = false
  status = 0
  receivedBytes = 0
  machine = ''

  constructor(engine: Engine, client: Downstream, facts: HttpFacts, hop: RequestHop) {
    this.#engine = engine
    this.#client = client
    this.#out = client
    this.#facts = facts
    this.requestId = Buffer.alloc(engine.requestIds.bytes)
    this.#question = new RouteQuestion(engine, this)
    this.#request = new RequestSender(engine, hop, this.requestId)
    this.#reader = new ResponseReader(this, engine.heads, engine.limits.headBytesMax)
  }

  get isActive(): boolean {
    return this.#phase !== Phase.idle
  }
  get isRepeatable(): boolean {
    return this.#isIdempotent
  }
  /** True once a final head was told to the client. */
  get isAnswered(): boolean {
    return this.#isAnswered
  }
  get isRequestDone(): boolean {
    return this.#request.isDone
  }
  get isConnecting(): boolean {
    return this.#phase === Phase.connecting
  }
  get startUs(): number {
    return this.#request.startUs
  }
  get sentBytes(): number {
    return this.#request.sentBytes
  }
  /** How long the connection under way has taken. */
  connectingMs(nowMs: number): number {
    const isOurs = this.#phase === Phase.connecting && this.#backend?.isRemote !== true
    return isOurs ? nowMs - this.#connectStartMs : 0
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
      this.#backend !== undefined &&
      !this.#backend.outbox.isFull
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
    this.#isHead = head.isHead
    this.#isIdempotent = head.isIdempotent
    this.#isUpgrade = head.isUpgrade
    this.#isAnswered = false
    this.#attempts = undefined
    this.#out = this.#client
    if (this.#facts.entrance.compress) this.#beginCompression(head)
    else this.#compression = undefined
    this.status = 0
    this.receivedBytes = 0
    this.machine = ''
    if (!this.#request.begin(head, start, end)) return false
    this.#engine.counters.requestsActive += 1
    this.#route(head)
    return true
  }

  #beginCompression({ lines }: RequestHead): void {
    this.#compression ??= new Compression(this.#engine, this.#client, () => this.#backend?.pump())
    this.#compression.begin(lines.find('accept-encoding'))
  }

  // ---- where to

  #route(head: RequestHead): void {
    const facts = this.#facts
    facts.begin(head, this.requestId, this.#attempts ?? NO_ATTEMPTS)
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
    this.#lease = to.lease
    this.machine = to.lease.machine
    const isOwn = to.kind === 'machine' && to.protocol !== 'h2c'
    const idle = isOwn ? this.#engine.backends.takeIdle(to.address, to.port) : undefined
    const backend = idle ?? openBackend(this.#engine, to, this.#facts)
    if (typeof backend === 'string') {
      this.#retry('connect-failed', backend)
      return
    }
    backend.user = this
    this.#backend = backend
    this.#reader.begin(this.#isHead)
    this.#phase = idle === undefined ? Phase.connecting : Phase.waiting
    this.#connectStartMs = this.#engine.loop.nowMs
    this.#request.send(to, head, backend.outbox)
    // One send for head and body when the body is here already: the caller flushes.
    if (this.#request.isDone || this.#attempts !== undefined) backend.outbox.flush()
    if (idle === undefined) return
    to.lease.connected(0)
    this.#client.requestDrained()
  }

  connected(backend: BackendConnection): void {
    if (backend !== this.#backend) return
    this.#phase = Phase.waiting
    const connectUs = (performance.now() - this.#connectStartMs) * 1000
    this.#lease?.connected(connectUs)
    const counted = this.#engine.counters.machine(this.machine, this.#facts.entrance.app)
    if (counted !== undefined) addTime(counted.connects, connectUs)
    if (backend.outbox.drain()) this.#client.requestDrained()
  }

  connectFailed(backend: BackendConnection, result: LeaseResult, code: string): void {
    if (backend !== this.#backend) return
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
    this.#attempts ??= []
    this.#attempts.push({ machine: this.machine, result })
    this.#release(result)
    this.#engine.counters.retries += 1
    if (this.#attempts.length >= this.#engine.limits.attemptsMax || !this.#request.isWhole) {
      this.#fail(502, code)
      return
    }
    this.#route(this.#request.headAgain())
  }

  // ---- the request's body

  /** memory[start, start + length) of the body, without its framing. */
  requestData(memory: Memory, start: number, length: number): void {
    this.#request.data(memory, start, length, this.#backend?.outbox)
  }

  requestEnd(trailer: Buffer | undefined): void {
    this.#request.end(trailer, this.#backend?.outbox)
  }

  /** What was staged of the request in this turn goes out. */
  requestFlush(): void {
    this.#backend?.outbox.flush()
  }

  /** The machine takes more of the request. */
  backendDrained(): void {
    this.#client.requestDrained()
  }

  // ---- the response

  /** The client takes more of the response. */
  responseDrained(): void {
    this.#compression?.clientDrained()
    this.#backend?.pump()
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
    const verdict = this.#lease?.responded(responseQuestion.of(head, canReplay))
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
    const backend = this.#backend
    const isReusable =
      this.#isPersistent &&
      !hasExcess &&
      this.#request.isDone &&
      backend?.outbox.isFull === false &&
      !backend.isEnding
    this.#backend = undefined
    if (isReusable) backend?.give()
    else backend?.close()
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
    const backend = this.#backend
    const isDoubtful = backend?.isDoubtful === true
    const { isUntouched } = this.#reader
    this.#closeBackend()
    // An idle connection may die under the request, and a path to another host: the machine has hardly acted on
    // it then, and for an idempotent one it would not matter (RFC 9110, section 9.2.2).
    if (isDoubtful && isUntouched && this.#isIdempotent && this.#request.isWhole)
      this.#retry('no-response', 'PC03')
    else this.#breakOff('no-response', 502, result === 0 ? 'PU02' : 'PC03')
  }

  switched(head: ResponseHead, memory: Memory, start: number, end: number): void {
    const backend = this.#backend
    if (!this.#isUpgrade || backend === undefined || !head.hasConnectionUpgrade) {
      this.#breakOff('no-response', 502, 'PU02')
      return
    }
    const { lines, upgradeLine: line } = head
    const isWebSocket =
      line >= 0 && isText(lines.bytes, lines.valueStart(line), lines.valueEnd(line), 'websocket')
    this.status = 101
    this.#isAnswered = true
    this.#client.responseHead(head)
    this.#client.responseFlush()
    this.#backend = undefined
    backend.user = undefined
    this.#finish()
    this.#client.upgraded(backend, Buffer.from(memory.bytes.subarray(start, end)), isWebSocket)
  }

  /** The lease goes to who carries the upgraded connection on. */
  takeLease(): Lease | undefined {
    const lease = this.#lease
    this.#lease = undefined
    return lease
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
    const next = this.#lease?.replayBody(this.#replayBody.take())
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
    this.#backend?.outbox.flush()
    this.#backend?.close(isAbort)
    this.#backend = undefined
  }

  #release(result: LeaseResult): void {
    const lease = this.#lease
    this.#lease = undefined
    lease?.release(result, { sent: this.sentBytes, received: this.receivedBytes })
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
