import { createServer, type Server } from 'node:http'
import type { Log } from '#base'

export interface MetricsOptions {
  /** Of 127.0.0.1. */
  readonly port: number
  /** Prometheus' text format. */
  readonly render: () => string
  readonly log: Log
}

/** `/metrics` and `/healthz`. */
export function serveMetrics({ port, render, log }: MetricsOptions): Server {
  const server = createServer((request, response) => {
    if (request.url === '/metrics')
      response.setHeader('content-type', 'text/plain; version=0.0.4').end(render())
    else if (request.url === '/healthz') response.end('ok\n')
    else response.writeHead(404).end()
  })
  // Metrics are not worth a failed upgrade.
  server.on('error', (error) => log.warn({ err: error, port }, 'no metrics'))
  // A successor serves them beside this one until this one drains.
  return server.listen({ port, host: '127.0.0.1', reusePort: true })
}
