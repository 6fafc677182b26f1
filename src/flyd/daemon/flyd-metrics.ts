import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { CapacityBook } from '#market'
import type { SshPort } from '../access/ssh-port.ts'
import type { CheckRunner } from '../checks/check-runner.ts'
import type { Engine } from '../engine/engine.ts'
import type { MachineView } from '../model/machine-view.ts'
import type { RowPublisher } from '../rows/row-publisher.ts'

export interface MetricsSource {
  readonly view: MachineView
  readonly engine: Engine
  readonly book: CapacityBook
  readonly checks: CheckRunner
  readonly rows: RowPublisher
  readonly ssh: Pick<SshPort, 'open' | 'outcomes'>
  readonly guestCount: () => number
}

/** From a read out of memory to a wait of a minute. */
const SECONDS_BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60]

/** What this host does, for Prometheus. Figures are looked up when somebody asks. */
export class FlydMetrics {
  readonly registry = new Registry()
  readonly #calls = new Counter({
    name: 'flyd_calls_total',
    help: 'answers of the API by call and status',
    labelNames: ['call', 'status'],
    registers: [this.registry],
  })
  readonly #seconds = new Histogram({
    name: 'flyd_call_seconds',
    help: 'from the first byte of a call to its answer',
    labelNames: ['call'],
    buckets: SECONDS_BUCKETS,
    registers: [this.registry],
  })

  constructor({ view, engine, book, checks, rows, ssh, guestCount }: MetricsSource) {
    collectDefaultMetrics({ register: this.registry })
    this.#gauges('flyd_machines', 'machines by state', 'state', () => countStates(view))
    this.#gauge('flyd_guests', 'guests that this process looks after', guestCount)
    this.#gauge('flyd_runs', 'runs of state machines under way', () => engine.runs().length)
    this.#gauge('flyd_checks', 'health checks of started machines', () => checks.checkCount)
    this.#gauge('flyd_rows', 'rows of this host in the replica', () => rows.rowCount)
    this.#gauge('flyd_rows_waiting', 'machines and volumes to be written', () => rows.backlog)
    this.#gauge('flyd_rows_in_step', '1: the replica has all rows', () => Number(rows.isInStep))
    this.#gauge('flyd_rows_failures', 'times the replica took none', () => rows.counters.failures)
    this.#gauge('flyd_ssh_connections', 'open ones to port 22 of 6PN addresses', () => ssh.open)
    this.#gauges('flyd_ssh_asked', 'connections to port 22 so far', 'outcome', () =>
      Object.entries(ssh.outcomes),
    )
    this.#gauge('flyd_reservations', 'open reservations', () => book.reservationCount)
    this.#gauges('flyd_capacity_used_ratio', 'part of what may be promised', 'resource', () =>
      Object.entries(book.utilisation),
    )
  }

  answered(call: string, status: number, ms: number): void {
    this.#calls.inc({ call, status: String(status) })
    this.#seconds.observe({ call }, ms / 1000)
  }

  #gauge(name: string, help: string, look: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(look())
      },
    })
  }

  #gauges(
    name: string,
    help: string,
    label: string,
    look: () => Iterable<readonly [string, number]>,
  ): void {
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [this.registry],
      collect() {
        this.reset()
        for (const [key, value] of look()) this.set({ [label]: key }, value)
      },
    })
  }
}

export function countStates(view: MachineView): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { state } of view.machines()) counts.set(state, (counts.get(state) ?? 0) + 1)
  return counts
}
