import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** From a read of the local replica to a wait of a minute. */
const SECONDS_BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60]

/** What this instance has answered, for Prometheus. */
export class FlapsMetrics {
  readonly registry = new Registry()
  readonly #answers = new Counter({
    name: 'flaps_answers_total',
    help: 'answers by operation and status',
    labelNames: ['operation', 'status'],
    registers: [this.registry],
  })
  readonly #seconds = new Histogram({
    name: 'flaps_call_seconds',
    help: 'from the last byte of a request to its answer',
    labelNames: ['operation'],
    buckets: SECONDS_BUCKETS,
    registers: [this.registry],
  })
  readonly #inFlight = new Gauge({
    name: 'flaps_calls_in_flight',
    help: 'requests that are being answered, waits too',
    registers: [this.registry],
  })

  constructor() {
    collectDefaultMetrics({ register: this.registry })
  }

  begin(): void {
    this.#inFlight.inc()
  }

  end(operation: string, options: { status: number; seconds: number }): void {
    const { status, seconds } = options
    this.#inFlight.dec()
    this.#answers.inc({ operation, status: String(status) })
    this.#seconds.observe({ operation }, seconds)
  }
}
