import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { DnsRows } from '../directory/rows.ts'
import type { Handler } from '../resolver.ts'
import type { ClientLimits } from '../server/client-limits.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { rcodeName } from '../wire/constants.ts'

export interface MetricSources {
  readonly rows: DnsRows
  readonly limits: ClientLimits
  readonly upstream: Upstream | undefined
  /** Replies that the kernel did not take, of all sockets. */
  readonly unsent: () => number
}

const RCODES = 16

/** What this resolver has answered, for Prometheus. Answers are counted in plain numbers: labels cost too much. */
export class DnsMetrics {
  readonly registry = new Registry()
  readonly #answers = new Map<string, Float64Array>()
  #faults = 0

  constructor({ rows, limits, upstream, unsent }: MetricSources) {
    const registers = [this.registry]
    collectDefaultMetrics({ register: this.registry })
    const answers = new Counter({
      name: 'dns_answers_total',
      help: 'answers by zone (internal: machines and peers, public), channel and rcode',
      labelNames: ['zone', 'channel', 'rcode'],
      registers,
      collect: () => {
        answers.reset()
        for (const [labels, counts] of this.#answers) {
          const [zone = '', channel = ''] = labels.split('/')
          for (const [rcode, count] of counts.entries()) {
            if (count > 0) answers.inc({ zone, channel, rcode: rcodeName(rcode) }, count)
          }
        }
      },
    })
    const gauges: [string, string, () => number][] = [
      [
        'dns_faults',
        'answers that a fault of the program turned into SERVFAIL',
        () => this.#faults,
      ],
      ['dns_dropped', 'questions dropped because their client asks too much', () => limits.dropped],
      ['dns_unsent', 'UDP replies that the kernel did not take', unsent],
      [
        'dns_upstream_in_flight',
        'questions that upstreams are asked now',
        () => upstream?.inFlight ?? 0,
      ],
      ['dns_rows_complete', '1 once all rows were read', () => Number(rows.isComplete)],
      ['dns_rows_connected', '1 while corrosion is heard', () => Number(rows.isConnected)],
    ]
    for (const [name, help, read] of gauges) {
      const collect = () => gauge.set(read())
      const gauge: Gauge = new Gauge({ name, help, registers, collect })
    }
  }

  fault(): void {
    this.#faults += 1
  }

  /** `handle`, with its answers counted. */
  counted(zone: 'internal' | 'public', handle: Handler): Handler {
    const counts = { udp: new Float64Array(RCODES), tcp: new Float64Array(RCODES) }
    for (const channel of ['udp', 'tcp'] as const) {
      this.#answers.set(`${zone}/${channel}`, counts[channel])
    }
    return (packet, source, channel) => {
      const count = (reply: Buffer): Buffer => {
        const rcode = (reply[3] as number) & 0xf
        counts[channel][rcode] = (counts[channel][rcode] as number) + 1
        return reply
      }
      const reply = handle(packet, source, channel)
      if (reply instanceof Promise) return reply.then(count)
      return reply && count(reply)
    }
  }
}
