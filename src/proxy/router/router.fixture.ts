import assert from 'node:assert/strict'
import { type Clock, seededRandom } from '#base'
import type { Attempt, Decision, Entrance, RouteRequest, ToMachine, ToRemote } from '../route.ts'
import { TableFixture } from '../routing-table/table.fixture.ts'
import type { MachineWaker, WakeResult } from '../wake/machine-waker.ts'
import { ProxyRouter } from './router.ts'
import { RoutingCore } from './routing-core.ts'
import { ROUTING_LIMITS, type RoutingLimits } from './routing-limits.ts'

/** A clock that a test moves. Timers fire in order of their time. */
export class HandClock implements Clock {
  #nowMs = 1_000_000
  readonly #timers = new Set<{ atMs: number; callback: () => void }>()

  nowMs = () => this.#nowMs
  monotonicMs = () => this.#nowMs

  setTimer(callback: () => void, afterMs: number): Disposable {
    const timer = { atMs: this.#nowMs + afterMs, callback }
    this.#timers.add(timer)
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) }
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.setTimer(resolve, ms)
      signal?.addEventListener('abort', () => reject(signal.reason))
    })
  }

  /** Lets time pass, and what awaits it run. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    for (;;) {
      await new Promise(setImmediate)
      const [next] = [...this.#timers].sort((a, b) => a.atMs - b.atMs)
      if (next === undefined || next.atMs > endMs) break
      this.#timers.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.callback()
    }
    this.#nowMs = endMs
    await new Promise(setImmediate)
  }
}

/** Keeps starts until the test says what became of them. */
export class HandWaker implements MachineWaker {
  readonly started: string[] = []
  readonly #pending = new Map<string, (result: WakeResult) => void>()

  start(...[machine, , done]: Parameters<MachineWaker['start']>): void {
    this.started.push(machine.id)
    this.#pending.set(machine.id, done)
  }

  stop(...[, , done]: Parameters<MachineWaker['stop']>): void {
    done({ kind: 'stopped' })
  }

  end(machine: string, result: WakeResult = { kind: 'ready' }): void {
    const done = this.#pending.get(machine)
    assert(done, `${machine} is not being started`)
    this.#pending.delete(machine)
    done(result)
  }
}

interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly host?: string
  readonly target?: string
  readonly attempts?: readonly Attempt[]
  readonly kind?: 'http' | 'tcp'
  readonly requestId?: string
  readonly signal?: AbortSignal
  readonly port?: number
}

/** A router over a table that tests fill, with app `a` on 192.0.2.1. */
export class RouterFixture {
  readonly rows = new TableFixture().host('h2', 'fra', 8_000).app('a').ip('192.0.2.1', 'a')
  readonly clock = new HandClock()
  readonly waker = new HandWaker()
  readonly core: RoutingCore
  readonly router: ProxyRouter
  #ids = 0

  constructor(limits: Partial<RoutingLimits> = {}) {
    this.core = new RoutingCore({
      table: this.rows.table,
      waker: this.waker,
      clock: this.clock,
      random: seededRandom(1),
      limits: { ...ROUTING_LIMITS, ...limits },
    })
    this.router = new ProxyRouter({ core: this.core })
  }

  entrance(port = 80, localAddress = '192.0.2.1', clientAddress = '198.51.100.1') {
    const localPort = port
    return this.router.accept({ clientAddress, clientPort: 1, localAddress, localPort })
  }

  request(options: RequestOptions = {}): RouteRequest {
    this.#ids += 1
    const entrance = this.entrance(options.port) as Entrance
    assert(entrance, 'nothing stands there')
    return {
      entrance,
      connection: {
        clientAddress: '198.51.100.1',
        clientPort: 1,
        localAddress: '192.0.2.1',
        localPort: 80,
      },
      kind: options.kind ?? 'http',
      isTls: false,
      serverName: '',
      method: 'GET',
      host: options.host ?? 'a.test',
      target: options.target ?? '/',
      requestId: options.requestId ?? `id-${this.#ids}`,
      header: (name) => options.headers?.[name],
      attempts: options.attempts ?? [],
      signal: options.signal ?? new AbortController().signal,
    }
  }

  /** Routes and waits; time passes while it waits. */
  async decide(request: RouteRequest): Promise<Decision> {
    return this.settle(this.router.route(request))
  }

  async settle(answer: Decision | Promise<Decision>): Promise<Decision> {
    let settled: Decision | undefined
    void Promise.resolve(answer).then((decision) => {
      settled = decision
    })
    for (let step = 0; step < 1_000 && settled === undefined; step += 1) await this.clock.pass(100)
    assert(settled, 'no decision')
    return settled
  }

  /** A request goes to a machine, which answers with these headers. */
  async respond(
    decision: Decision,
    headers: Readonly<Record<string, string>>,
    { canReplay = true, body = '' } = {},
  ): Promise<Decision | undefined> {
    const { lease } = sent(decision)
    lease.connected(10)
    const header = (name: string) => headers[name]
    const next = lease.responded({ status: 200, header, canReplay })
    if (next === undefined) return undefined
    const then = next === 'read-body' ? lease.replayBody(Buffer.from(body)) : next
    const settled = await this.settle(then)
    lease.release('replayed', { sent: 0, received: 0 })
    return settled
  }
}

/** The decision is a machine. */
export function sent(decision: Decision | undefined): ToMachine | ToRemote {
  assert(decision?.kind === 'machine' || decision?.kind === 'remote', JSON.stringify(decision))
  return decision
}

export const machineOf = (decision: Decision | undefined): string => sent(decision).lease.machine
export const codeOf = (decision: Decision | undefined): string => {
  assert(decision?.kind === 'refuse', JSON.stringify(decision?.kind))
  return decision.code
}
