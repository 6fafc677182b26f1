import { join } from 'node:path'
import { firstOf, type Log, systemClock, systemRandom } from '#base'
import { ownAddress } from '#net6'
import { ownMachines } from '../admin/debug-view.ts'
import { readEdgeKeyRing } from '../certificates/edge-key-ring.ts'
import { LocalCertificates, withLocal } from '../certificates/local-certificates.ts'
import { nextTicketChangeMs, ticketKeys } from '../certificates/ticket-keys.ts'
import { renderLoads, renderMetrics } from '../observe/metrics.ts'
import { openRouting, type Routing } from '../router/open-routing.ts'
import type { WakeHost } from '../wake/host-waker.ts'
import { tellReady } from './child.ts'
import { FollowedDatagrams } from './followed-datagrams.ts'
import { FollowedListeners } from './followed-listeners.ts'
import { limitsOf } from './limits-of.ts'
import { openAcme } from './run-acme.ts'
import { type Serving, serve } from './serve.ts'
import { serveMetrics } from './serve-metrics.ts'
import { inheritedSockets } from './sockets.ts'
import type { RoutingConfig, StaticConfig } from './static-config.ts'
import { untilTold } from './until-told.ts'

/** The APIs of all hosts, by which machines are started and stopped. */
export interface HostApis extends Disposable {
  host(hostId: string): WakeHost
}

/** @param addressOf a host's address on the mesh; undefined: no row names it */
export type OpenHostApis = (addressOf: (hostId: string) => string | undefined) => HostApis

const clock = systemClock
const random = systemRandom
const TICKETS_LOOK_MS = 60 * 60_000

/**
 * `godwit proxy run` on a host of the platform: edge and worker in one, until SIGTERM or SIGINT, then drains. SIGUSR2
 * hands over to the program as it is on disk by then.
 *
 * @throws ProxyError, CertificateError, Net6Error net6.mesh_away; what the system says of files and of the backhaul's address
 */
export async function runRouting(
  config: StaticConfig,
  routing: RoutingConfig,
  openHosts: OpenHostApis | undefined,
  log: Log,
): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const running = await openProxy(config, routing, openHosts, log, opened)
  tellReady()
  log.info({ pid: process.pid, host: routing.host, isEdge: routing.is_edge }, 'the proxy serves')
  const { listeners, datagrams, ticketKey, moved } = running
  const sockets = () => listeners?.sockets ?? []
  await firstOf(untilTold({ isWorker: false, sockets, ticketKey, log }), moved)
  log.info('the proxy drains')
  running.routing.drain()
  listeners?.[Symbol.dispose]()
  datagrams[Symbol.dispose]()
  await running.serving.drain(config.drain_s * 1000)
}

interface RunningProxy {
  readonly routing: Routing
  readonly serving: Serving
  readonly listeners: FollowedListeners | undefined
  /** Ends with the first word of a drain: flows begin anew at the process that follows. */
  readonly datagrams: Disposable
  readonly ticketKey: Buffer
  /** Resolves when this host was given another number in the network: end the process, and start it again. */
  readonly moved: Promise<void>
}

async function openProxy(
  config: StaticConfig,
  routingConfig: RoutingConfig,
  openHosts: OpenHostApis | undefined,
  log: Log,
  opened: AsyncDisposableStack,
): Promise<RunningProxy> {
  const { host, folder, app_domain: appDomain, ...more } = routingConfig
  const keys = readEdgeKeyRing(more.key_ring, random)
  const local =
    more.local_ca === undefined
      ? undefined
      : opened.use(await LocalCertificates.open({ folder: more.local_ca, appDomain, clock, log }))
  const backhaul = await openBackhaul(routingConfig, log, opened)
  let listeners: FollowedListeners | undefined
  let datagrams: FollowedDatagrams | undefined
  let routing: Routing | undefined
  let serving: Serving | undefined
  const hosts = openHosts?.((hostId) => routing?.table.topology.host(hostId).backhaulAddress)
  if (hosts !== undefined) opened.use(hosts)
  routing = await openRouting({
    ...{ ownHostId: host, appDomain, keys, clock, random, log },
    corrosion: { url: more.corrosion.url, bearerToken: more.corrosion.token },
    tablePath: join(folder, 'table'),
    backhaulPort: more.backhaul.port,
    backhaulAddress: backhaul.address,
    hostOf: (hostId) => hosts?.host(hostId),
    adminPath: config.admin_socket,
    closeUpgrades: ({ id }) => void serving?.goAway(id),
    autostop: {
      periodMs: more.autostop.period_s * 1_000,
      upMs: more.autostop.up_s * 1_000,
      settleMs: more.autostop.settle_s * 1_000,
    },
    onRow: (table) => {
      listeners?.rowChanged(table)
      datagrams?.rowChanged(table)
    },
  })
  const { router, certificates, table } = routing
  opened.defer(() => routing?.close())
  const [ticketKey] = ticketKeys(keys, clock.nowMs())
  const started = serve({
    router,
    certificates: withLocal(certificates, local),
    listeners: [],
    region: config.region,
    log,
    ticketKey,
    openRemote: (decision, client, handlers) => routing?.open(decision, client, handlers),
    limits: limitsOf(config),
    accessLogRatio: config.access_log_ratio,
    proxyProtocolFrom: config.proxy_protocol_from,
  })
  serving = started
  opened.defer(() => started.close())
  opened.use(rotateTickets(started, () => ticketKeys(keys, clock.nowMs())[0]))
  opened.use(await openAcme({ config: routingConfig, table, keys, log }))
  const inherited = inheritedSockets(process.env)
  const followed = { table, isEdge: more.is_edge, clock, log }
  listeners = opened.use(
    new FollowedListeners({ ...followed, protocol: 'tcp', serving: started, inherited }),
  )
  const { loop, counters } = started
  const mesh =
    backhaul.address === undefined
      ? undefined
      : { address: backhaul.address, port: more.backhaul.port }
  const watchHost = (hostId: string, address: string) => routing?.backhaul.watch(hostId, address)
  datagrams = opened.use(
    new FollowedDatagrams({ ...followed, loop, counters, random, mesh, watchHost }),
  )
  if (config.metrics_port !== undefined) {
    const render = () =>
      renderMetrics(started.counters, config.region) +
      renderLoads(ownMachines(router), config.region)
    const metrics = serveMetrics({ port: config.metrics_port, render, log })
    opened.defer(() => {
      metrics.close()
      metrics.closeAllConnections()
    })
  }
  return { routing, serving: started, listeners, datagrams, ticketKey, moved: backhaul.moved }
}

/** Where this host's proxy listens for others; `moved` when that is no longer true. */
async function openBackhaul(
  { host: hostId, network: { folder }, backhaul: { address: text } }: RoutingConfig,
  log: Log,
  opened: AsyncDisposableStack,
): Promise<{ address: string | undefined; moved: Promise<void> }> {
  const { promise: moved, resolve } = Promise.withResolvers<void>()
  if (text === undefined) return { address: undefined, moved }
  const own = await ownAddress(text, { folder, hostId, clock })
  const ending = new AbortController()
  opened.defer(() => ending.abort(new Error('the proxy ends')))
  own.moved(ending.signal).then(resolve, (err: unknown) => {
    if (!ending.signal.aborted) log.error({ err }, 'the number of this host cannot be read')
  })
  return { address: own.address, moved }
}

/** All edges change at the same moment: it is derived from the time. */
function rotateTickets(serving: Serving, keyNow: () => Buffer): Disposable {
  let timer: Disposable | undefined
  const arm = () => {
    const waitMs = nextTicketChangeMs(clock.nowMs()) - clock.nowMs()
    timer = clock.setTimer(
      () => {
        serving.useTicketKey(keyNow())
        arm()
      },
      Math.min(TICKETS_LOOK_MS, Math.max(1, waitMs)),
    )
  }
  arm()
  return { [Symbol.dispose]: () => timer?.[Symbol.dispose]() }
}
