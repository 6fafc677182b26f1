import assert from 'node:assert/strict'
import { json, number, type PlatformRow, text } from './platform-rows.ts'
import { type PortSpec, parsePortSpecs } from './port-spec.ts'

export type Autostop = 'off' | 'stop' | 'suspend'
export const DEFAULT_SOFT_LIMIT = 20
const AVOID_MS = 500
const AVOID_MS_MAX = 10_000

/** One port inside a machine: what rows tell of it, and how much is sent there. */
export class ServiceFacts {
  readonly protocol: 'tcp' | 'udp'
  readonly internalPort: number
  ports: readonly PortSpec[] = []
  /** What counts as one: a TCP connection, or an HTTP request. */
  limitsRequests = false
  softLimit = DEFAULT_SOFT_LIMIT
  hardLimit = Number.POSITIVE_INFINITY
  autostop: Autostop = 'off'
  autostart = true
  minMachinesRunning = 0
  /** Connections to it failed: it is chosen after all others until this monotonic time. */
  avoidUntilMs = Number.NEGATIVE_INFINITY
  #failures = 0
  /** What this proxy has sent there and has not ended. */
  inFlight = 0
  /** What another process of this host's proxy carries there: one of the two takes over from the other. */
  elsewhere = 0
  /** What it has sent there, ever. */
  begun = 0
  /** What all proxies have sent there, as its worker said last. */
  #told = 0
  /** Of ours, included in `#told`. */
  #ownWhenTold = 0

  constructor(protocol: 'tcp' | 'udp', internalPort: number) {
    this.protocol = protocol
    this.internalPort = internalPort
  }

  put(row: PlatformRow): void {
    this.ports = parsePortSpecs(json(row, 'ports'))
    this.limitsRequests = text(row, 'concurrency_type') === 'requests'
    this.softLimit = Math.max(1, number(row, 'soft_limit', DEFAULT_SOFT_LIMIT))
    const hard = number(row, 'hard_limit')
    this.hardLimit = hard > 0 ? hard : Number.POSITIVE_INFINITY
    const autostop = text(row, 'autostop')
    this.autostop = autostop === 'stop' || autostop === 'suspend' ? autostop : 'off'
    this.autostart = number(row, 'autostart', 1) === 1
    this.minMachinesRunning = Math.max(0, number(row, 'min_machines_running'))
  }

  /**
   * Estimate of all that is in flight there: what the worker said last, and what this proxy has added or ended
   * since; never less than this proxy's own. What another process of the same host carries comes on top.
   */
  get load(): number {
    const own = Math.max(this.inFlight, this.#told + this.inFlight - this.#ownWhenTold)
    return own + this.elsewhere
  }

  /** What is free below the soft limit, 0 to 1; 0: none. Comparable between machines of any size. */
  get headroom(): number {
    return Math.max(0, 1 - this.load / this.softLimit)
  }

  /** The worker said how much is in flight there. */
  told(count: number): void {
    this.#told = count
    this.#ownWhenTold = this.inFlight
  }

  /** `load` of the machine's row: a share of its limit, 0 to 1. */
  toldShare(share: number): void {
    const limit = Number.isFinite(this.hardLimit) ? this.hardLimit : this.softLimit
    this.told(Math.round(share * limit))
  }

  /** A connection to it failed, or its worker refused. */
  failed(nowMs: number): void {
    this.avoidUntilMs = nowMs + Math.min(AVOID_MS_MAX, AVOID_MS * 2 ** Math.min(this.#failures, 10))
    this.#failures += 1
  }

  /** It answered. */
  succeeded(): void {
    if (this.#failures === 0) return
    this.#failures = 0
    this.avoidUntilMs = Number.NEGATIVE_INFINITY
  }

  exposes(port: number): boolean {
    return this.ports.some(({ startPort, endPort }) => startPort <= port && port <= endPort)
  }

  take(): void {
    this.inFlight += 1
    this.begun += 1
  }

  release(): void {
    this.inFlight -= 1
    assert(this.inFlight >= 0)
  }
}
