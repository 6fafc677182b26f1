import { type Counters, type StatusTimes, TIME_BOUNDS_S } from './counters.ts'

/** Prometheus' text format of what one process counted. Names as Fly documents them where they exist there. */
export function renderMetrics(counters: Counters, region: string): string {
  const lines: string[] = []
  const one = (
    name: string,
    type: 'counter' | 'gauge',
    value: number,
    labels: Record<string, string> = {},
  ) => {
    lines.push(`# TYPE ${name} ${type}`, `${name}${render({ region, ...labels })} ${value}`)
  }
  one('fly_edge_tcp_connects_count', 'counter', counters.connectionsAccepted)
  one('fly_edge_tcp_disconnects_count', 'counter', counters.connectionsClosed)
  one('fly_edge_tcp_rate_limited_count', 'counter', counters.connectionsRefused, {
    type: 'connections',
  })
  one('fly_edge_data_in', 'counter', counters.bytesIn)
  one('fly_edge_data_out', 'counter', counters.bytesOut)
  one('godwit_proxy_connections', 'gauge', counters.connectionsOpen)
  one('godwit_proxy_backend_connections', 'gauge', counters.backendsOpen)
  one('godwit_proxy_backend_connects_count', 'counter', counters.backendConnects)
  one('godwit_proxy_requests_active', 'gauge', counters.requestsActive)
  one('godwit_proxy_tunnels', 'gauge', counters.tunnelsOpen)
  one('godwit_proxy_compressions', 'gauge', counters.compressionsActive)
  one('godwit_proxy_retries_count', 'counter', counters.retries)
  one('godwit_proxy_replays_count', 'counter', counters.replays)
  one('godwit_proxy_tls_handshakes_count', 'counter', counters.tlsHandshakes)
  const by = (name: string, label: string, counts: ReadonlyMap<string, number>, type = 'counter') =>
    lines.push(...renderBy({ name, type, label, region, counts }))
  by('fly_edge_tls_handshake_errors', 'code', counters.tlsFailures)
  by('godwit_proxy_faults_count', 'code', counters.faults)
  const datagrams = new Map([
    ['client', counters.datagramsIn],
    ['machine', counters.datagramsOut],
  ])
  by('godwit_proxy_datagrams_count', 'from', datagrams)
  by('godwit_proxy_datagram_drops_count', 'reason', counters.datagramDrops)
  by('godwit_proxy_datagram_flows', 'side', counters.datagramFlows, 'gauge')
  by('godwit_proxy_datagram_evictions_count', 'side', counters.datagramEvictions)
  renderResponses(lines, counters, region)
  renderMachines(lines, counters, region)
  return `${lines.join('\n')}\n`
}

interface LabelledCounts {
  readonly name: string
  readonly type: string
  readonly label: string
  readonly region: string
  readonly counts: ReadonlyMap<string, number>
}

function renderBy({ name, type, label, region, counts }: LabelledCounts): string[] {
  const values = [...counts].map(
    ([value, count]) => `${name}${render({ region, [label]: value })} ${count}`,
  )
  return [`# TYPE ${name} ${type}`, ...values]
}

function renderResponses(lines: string[], counters: Counters, region: string): void {
  const count = 'fly_edge_http_responses_count'
  const time = 'fly_edge_http_response_time_seconds'
  const counts = [`# TYPE ${count} counter`]
  const times = [`# TYPE ${time} histogram`]
  for (const [app, { byStatus }] of counters.responses) {
    for (const [status, measured] of byStatus) {
      const labels = { app, region, status: String(status) }
      counts.push(`${count}${render(labels)} ${measured.count}`)
      times.push(...renderHistogram(time, labels, measured))
    }
  }
  lines.push(...counts, ...times)
}

/** By machine, as this proxy has seen them for its own clients: `region` is the proxy's. */
function renderMachines(lines: string[], counters: Counters, region: string): void {
  const [count, time] = ['fly_app_http_responses_count', 'fly_app_http_response_time_seconds']
  const connects = 'fly_app_connect_time_seconds'
  const counts = [`# TYPE ${count} counter`]
  const times = [`# TYPE ${time} histogram`]
  const made = [`# TYPE ${connects} histogram`]
  for (const [instance, { app, responses, connects: measuredConnects }] of counters.machines) {
    const labels = { app, instance, region }
    made.push(...renderHistogram(connects, labels, measuredConnects))
    for (const [status, measured] of responses.byStatus) {
      const all = { ...labels, status: String(status) }
      counts.push(`${count}${render(all)} ${measured.count}`)
      times.push(...renderHistogram(time, all, measured))
    }
  }
  lines.push(...counts, ...times, ...made)
}

/** What goes on at the machines of this host, from all proxies together. */
export function renderLoads(
  loads: Iterable<{ app: string; machine: string; inFlight: number; begun: number }>,
  region: string,
): string {
  const [flying, begun, ended] = [
    'fly_app_concurrency',
    'fly_app_tcp_connects_count',
    'fly_app_tcp_disconnects_count',
  ]
  const lines = [
    [`# TYPE ${flying} gauge`],
    [`# TYPE ${begun} counter`],
    [`# TYPE ${ended} counter`],
  ]
  for (const { app, machine, inFlight, begun: total } of loads) {
    const labels = render({ app, instance: machine, region })
    lines[0]?.push(`${flying}${labels} ${inFlight}`)
    lines[1]?.push(`${begun}${labels} ${total}`)
    lines[2]?.push(`${ended}${labels} ${total - inFlight}`)
  }
  return `${lines.flat().join('\n')}\n`
}

function renderHistogram(
  name: string,
  labels: Record<string, string>,
  times: StatusTimes,
): string[] {
  let below = 0
  const buckets = TIME_BOUNDS_S.map((bound, index) => {
    below += times.buckets[index] ?? 0
    return `${name}_bucket${render({ ...labels, le: String(bound) })} ${below}`
  })
  return [
    ...buckets,
    `${name}_bucket${render({ ...labels, le: '+Inf' })} ${times.count}`,
    `${name}_sum${render(labels)} ${times.sumUs / 1e6}`,
    `${name}_count${render(labels)} ${times.count}`,
  ]
}

const render = (labels: Record<string, string>): string =>
  `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, '_')}"`)
    .join(',')}}`
