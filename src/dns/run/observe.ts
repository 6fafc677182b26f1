import { createServer } from 'node:http'
import type { DnsRows } from '../directory/rows.ts'
import { listenFailed } from '../server/listen-failed.ts'
import type { Listener } from '../server/udp.ts'
import type { Endpoint } from '../upstream/exchange.ts'
import type { DnsMetrics } from './dns-metrics.ts'

/**
 * `/metrics`, and `/healthz`: 200 once all rows were read, also while corrosion is away, else 503.
 * @throws DnsError dns.listen_failed
 */
export async function serveObserve(
  at: Endpoint,
  { metrics, rows }: { metrics: DnsMetrics; rows: DnsRows },
): Promise<Listener> {
  const { registry } = metrics
  const server = createServer((request, response) => {
    if (request.url === '/healthz') {
      const { isComplete, isConnected } = rows
      const body = { ok: isComplete, rows: { is_complete: isComplete, is_connected: isConnected } }
      response.writeHead(isComplete ? 200 : 503, { 'content-type': 'application/json' })
      return void response.end(`${JSON.stringify(body)}\n`)
    }
    if (request.url !== '/metrics') return void response.writeHead(404).end()
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  })
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(at.port, at.address, resolve)
    })
  } catch (cause) {
    throw listenFailed(at, 'tcp', cause)
  }
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : at.port,
    [Symbol.asyncDispose]() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
