import type { ChildProcess } from 'node:child_process'
import type { Log } from '#base'
import { renderMetrics } from '../observe/metrics.ts'
import { childReady, startChild, tellReady } from './child.ts'
import { FileCertificates } from './file-certificates.ts'
import { limitsOf } from './limits-of.ts'
import { serve } from './serve.ts'
import { serveMetrics } from './serve-metrics.ts'
import { claimSockets, inheritedSockets, type ListeningSocket } from './sockets.ts'
import type { StaticConfig } from './static-config.ts'
import { StaticRouter } from './static-router.ts'
import { TICKET_VARIABLE, ticketKeyOf, untilTold } from './until-told.ts'

const WORKER_VARIABLE = 'GODWIT_PROXY_WORKER'
const RESTART_MS = 500

/**
 * `godwit proxy run`: serves until SIGTERM or SIGINT, then drains. SIGUSR2 starts the program anew, as
 * it is on disk by then, hands it the listening sockets, and drains this one once the other serves.
 */
export async function runProxy(config: StaticConfig, log: Log): Promise<void> {
  const wanted = config.services.flatMap(({ ports }) =>
    ports.flatMap(({ port }) => config.listen.map((address) => ({ address, port }))),
  )
  const unique = [...new Map(wanted.map((one) => [`${one.address} ${one.port}`, one])).values()]
  const sockets = claimSockets(unique, inheritedSockets(process.env))
  const ticketKey = ticketKeyOf(process.env[TICKET_VARIABLE])
  const index = process.env[WORKER_VARIABLE]
  const crew =
    index === undefined && config.workers > 1
      ? await startCrew(config, sockets, ticketKey, log)
      : serveHere(config, sockets, ticketKey, log, Number(index ?? 0))
  tellReady()
  log.info(
    {
      pid: process.pid,
      sockets: sockets.map(({ address, port }) => `${address}:${port}`),
      workers: config.workers,
    },
    'the proxy serves',
  )
  await untilTold({ isWorker: index !== undefined, sockets: () => sockets, ticketKey, log })
  log.info('the proxy drains')
  await crew.drain(config.drain_s * 1000)
}

interface Crew {
  drain(deadlineMs: number): Promise<void>
}

function serveHere(
  config: StaticConfig,
  sockets: readonly ListeningSocket[],
  ticketKey: Buffer,
  log: Log,
  index: number,
): Crew {
  const serving = serve({
    router: new StaticRouter(config),
    certificates: new FileCertificates(config.certificates),
    listeners: sockets.map(({ fd }) => fd),
    region: config.region,
    log,
    ticketKey,
    limits: limitsOf(config),
    accessLogRatio: config.access_log_ratio,
    proxyProtocolFrom: config.proxy_protocol_from,
  })
  const metrics =
    config.metrics_port === undefined
      ? undefined
      : serveMetrics({
          port: config.metrics_port + index,
          render: () => renderMetrics(serving.counters, config.region),
          log,
        })
  return {
    async drain(deadlineMs) {
      await serving.drain(deadlineMs)
      serving.close()
      metrics?.close()
      metrics?.closeAllConnections()
    },
  }
}

/** Worker processes that accept from the same sockets. One that dies is replaced. */
async function startCrew(
  config: StaticConfig,
  sockets: readonly ListeningSocket[],
  ticketKey: Buffer,
  log: Log,
): Promise<Crew> {
  const children = new Map<number, ChildProcess>()
  let isEnding = false
  const start = (index: number): ChildProcess => {
    const child = startChild(sockets, {
      [WORKER_VARIABLE]: String(index),
      [TICKET_VARIABLE]: ticketKey.toString('base64'),
    })
    children.set(index, child)
    child.once('exit', (code) => {
      children.delete(index)
      if (isEnding) return
      log.error({ worker: index, code }, 'a worker died')
      setTimeout(() => isEnding || start(index), RESTART_MS)
    })
    return child
  }
  await Promise.all(Array.from({ length: config.workers }, (_, index) => childReady(start(index))))
  return {
    async drain() {
      isEnding = true
      const ends = [...children.values()].map(
        (child) => new Promise((resolve) => child.once('exit', resolve)),
      )
      for (const child of children.values()) child.kill('SIGTERM')
      await Promise.all(ends)
    },
  }
}
