import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { Mesh } from '../mesh/mesh.ts'
import type { PlatformRelay } from '../platform/platform-relay.ts'
import type { PlatformRows } from './platform-rows.ts'

/** WireGuard makes a new session every two minutes while there is traffic. */
const FRESH_MS = 180_000

/** The network of this host, for Prometheus. */
export function netMetrics(mesh: Mesh, rows: PlatformRows, relay: PlatformRelay): Registry {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const help = 'peers of the mesh by their last handshake: fresh (3 minutes), stale, never'
  const labelNames = ['handshake']
  const peers: Gauge = new Gauge({
    ...{ name: 'net_mesh_peers', help, labelNames, registers },
    async collect() {
      const counts = { fresh: 0, stale: 0, never: 0 }
      for (const { peers: seen } of (await mesh.devices()).values()) {
        for (const { handshakeMs } of seen) counts[freshness(handshakeMs)] += 1
      }
      for (const [handshake, count] of Object.entries(counts)) peers.set({ handshake }, count)
    },
  })
  const open: Gauge = new Gauge({
    ...{ name: 'net_platform_connections', help: 'to the API and the log stream, open', registers },
    collect: () => open.set(relay.open),
  })
  const outcomes: Counter = new Counter({
    name: 'net_platform_connections_total',
    help: 'to the API and the log stream, by what became of them',
    labelNames: ['outcome'],
    registers,
    collect() {
      outcomes.reset()
      for (const [outcome, count] of Object.entries(relay.outcomes))
        outcomes.inc({ outcome }, count)
    },
  })
  const flags: [string, string, () => boolean][] = [
    ['net_rows_complete', '1 once all rows were read', () => rows.isComplete],
    ['net_rows_connected', '1 while corrosion is heard', () => rows.isConnected],
  ]
  for (const [name, meaning, read] of flags) {
    const gauge: Gauge = new Gauge({
      ...{ name, help: meaning, registers },
      collect: () => gauge.set(Number(read())),
    })
  }
  return registry
}

function freshness(handshakeMs: number): 'fresh' | 'stale' | 'never' {
  if (handshakeMs === 0) return 'never'
  return Date.now() - handshakeMs < FRESH_MS ? 'fresh' : 'stale'
}
