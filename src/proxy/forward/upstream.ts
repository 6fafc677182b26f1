import { addTime } from '../observe/counters.ts'
import type { Attempt, Lease, LeaseResult, ToMachine, ToRemote } from '../route.ts'
import type { BackendConnection, BackendUser } from './backend-connection.ts'
import type { Engine } from './engine.ts'
import { openBackend } from './open-backend.ts'
import type { HttpFacts } from './request-facts.ts'

const NO_ATTEMPTS: readonly Attempt[] = []

/**
 * The machine's side of an exchange, for one attempt after the other: the lease of a machine, and the connection to
 * it. It gives both back exactly once. Reused for each request of a client's connection.
 */
export class Upstream {
  readonly #engine: Engine
  readonly #user: BackendUser
  readonly #facts: HttpFacts
  #lease: Lease | undefined
  #startMs = 0
  /** Undefined: none is under way. */
  connection: BackendConnection | undefined
  /** Of the last attempt; '' before the first. */
  machine = ''
  /** Those of the request that came to nothing. */
  attempts = NO_ATTEMPTS

  /** @param user is told what becomes of the connections */
  constructor(engine: Engine, user: BackendUser, facts: HttpFacts) {
    this.#engine = engine
    this.#user = user
    this.#facts = facts
  }

  /** Of another request. HOT. */
  begin(): void {
    this.machine = ''
    this.attempts = NO_ATTEMPTS
  }

  /**
   * The next attempt goes to this machine: over an idle connection of our own when there is one. HOT.
   * @returns the connection, still connecting unless it was idle; or the code of what failed at once
   */
  open(to: ToMachine | ToRemote): BackendConnection | 'PU03' | 'PC06' {
    this.#lease = to.lease
    this.machine = to.lease.machine
    const isOwn = to.kind === 'machine' && to.protocol !== 'h2c'
    const idle = isOwn ? this.#engine.backends.takeIdle(to.address, to.port) : undefined
    const connection = idle ?? openBackend(this.#engine, to, this.#facts)
    if (typeof connection === 'string') return connection
    connection.user = this.#user
    this.connection = connection
    this.#startMs = this.#engine.loop.nowMs
    if (idle !== undefined) to.lease.connected(0)
    return connection
  }

  /** How long the machine has not taken the connection. One over another host has the deadlines of that host. */
  waitedMs(nowMs: number): number {
    return this.connection?.isRemote === true ? 0 : nowMs - this.#startMs
  }

  /** The machine took the connection. */
  connected(): void {
    const connectUs = (performance.now() - this.#startMs) * 1000
    this.#lease?.connected(connectUs)
    const counted = this.#engine.counters.machine(this.machine, this.#facts.entrance.app)
    if (counted !== undefined) addTime(counted.connects, connectUs)
  }

  /** Undefined: there is none, or it has gone to another. */
  get lease(): Lease | undefined {
    return this.#lease
  }

  /** The lease goes to who carries the connection on. */
  takeLease(): Lease | undefined {
    const lease = this.#lease
    this.#lease = undefined
    return lease
  }

  /** The attempt came to nothing, and nothing is lost by another. */
  failed(result: LeaseResult, sent: number, received: number): void {
    this.attempts = [...this.attempts, { machine: this.machine, result }]
    this.release(result, sent, received)
  }

  release(result: LeaseResult, sent: number, received: number): void {
    this.takeLease()?.release(result, { sent, received })
  }

  /** The connection goes to who carries it on. */
  takeConnection(): BackendConnection | undefined {
    const { connection } = this
    this.connection = undefined
    if (connection !== undefined) connection.user = undefined
    return connection
  }

  /** The attempt ended in order. @param isReusable both ends are where another exchange can begin. HOT. */
  give(isReusable: boolean): void {
    const { connection } = this
    this.connection = undefined
    if (connection === undefined) return
    if (isReusable && !connection.outbox.isFull && !connection.isEnding) connection.give()
    else connection.close()
  }

  /** The attempt is over; what was staged still goes out. */
  close(isAbort = false): void {
    this.connection?.outbox.flush()
    this.connection?.close(isAbort)
    this.connection = undefined
  }
}
