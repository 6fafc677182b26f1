import { join } from 'node:path'
import { firstOf, type Log, systemClock, systemRandom } from '#base'
import { ownAddress } from '#net6'
import { serveAdmin } from '../admin/admin-server.ts'
import { ownMachines } from '../admin/debug-view.ts'
import { readEdgeKeyRing } from '../certificates/edge-key-ring.ts'
import { LocalCertificates, withLocal } from '../certificates/local-certificates.ts'
import { nextTicketChangeMs, ticketKeys } from '../certificates/ticket-keys.ts'
import { defaultLimits } from '../forward/limits.ts'
import { HandoverDoor } from '../handover/handover-door.ts'
import type { HeldSocket } from '../handover/handover-message.ts'
import { Predecessor } from '../handover/predecessor.ts'
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
import type { RoutingConfig, StaticConfig } from './static-config.ts'
import { type Told, untilTold } from './until-told.ts'

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
 * `godwit proxy run` on a host of the platform: edge and worker in one, until SIGTERM or SIGINT, then drains. It takes
 * over from the process that serves this host already, if there is one, which then drains; SIGUSR2 starts such a process,
 * from the program as it is on disk by then.
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
  const { ticketKey, moved, door } = running
  const told = untilTold({ isWorker: false, isDetached: true, sockets: () => [], ticketKey, log })
  const why = await firstOf<'replaced' | 'moved' | Told>(
    door.replaced.then(() => 'replaced'),
    moved.then(() => 'moved'),
    told,
  )
  // A supervisor ends this process as soon as its successor serves, which may be before this one hears of it.
  const isReplaced = why === 'followed' || door.hasHandedOver
  log.info('the proxy drains')
  const deadlineMs = config.drain_s * 1000
  const { lingerMs } = { ...defaultLimits, ...limitsOf(config) }
  running.routing.drain()
  await running.entrances.disposeAsync()
  const served = running.serving.drain(deadlineMs, isReplaced)
  await Promise.all([served, running.routing.drained(deadlineMs, lingerMs)])
}

interface RunningProxy {
  readonly routing: Routing
  readonly serving: Serving
  /** What ends with the first word of a drain: by then, another process may have all of it. */
  readonly entrances: AsyncDisposableStack
  readonly ticketKey: Buffer
  /** Resolves when this host was given another number in the network: end the process, and start it again. */
  readonly moved: Promise<void>
  /** Where another process takes over. */
  readonly door: HandoverDoor
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
  const handoverPath =
    config.admin_socket === undefined
      ? join(folder, 'handover.sock')
      : `${config.admin_socket}.handover`
  // From here on this process begins with what the one before has.
  const predecessor = opened.use(await Predecessor.meet(handoverPath, { clock, log }))
  const { port: backhaulPort } = more.backhaul
  let listeners: FollowedListeners | undefined
  let datagrams: FollowedDatagrams | undefined
  let routing: Routing | undefined
  let serving: Serving | undefined
  const hosts = openHosts?.((hostId) => routing?.table.topology.host(hostId).backhaulAddress)
  if (hosts !== undefined) opened.use(hosts)
  routing = await openRouting({
    ...{ ownHostId: host, appDomain, keys, clock, random, log, backhaulPort },
    ownAddresses: more.addresses,
    corrosion: { url: more.corrosion.url, bearerToken: more.corrosion.token },
    tablePath: join(folder, 'table'),
    backhaulAddress: backhaul.address,
    backhaulListener: predecessor.take('backhaul', backhaul.address, backhaulPort),
    hostOf: (hostId) => hosts?.host(hostId),
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
  const loads = { table, changed: () => router.core.changed() }
  const running = routing
  opened.defer(() => running.close())
  opened.use(predecessor.shareLoads(loads))
  const [ticketKey] = ticketKeys(keys, clock.nowMs())
  const started = serve({
    router,
    certificates: withLocal(certificates, local),
    listeners: [],
    region: config.region,
    log,
    ticketKey,
    openRemote: (decision, client, handlers) => running.open(decision, client, handlers),
    limits: limitsOf(config),
    accessLogRatio: config.access_log_ratio,
    proxyProtocolFrom: config.proxy_protocol_from,
  })
  serving = started
  opened.defer(() => started.close())
  opened.use(rotateTickets(started, () => ticketKeys(keys, clock.nowMs())[0]))
  const entrances = opened.use(new AsyncDisposableStack())
  entrances.use(await openAcme({ config: routingConfig, table, keys, log })) // the last to end: it may take a while
  const followed = { table, isEdge: more.is_edge, clock, log }
  listeners = entrances.use(
    new FollowedListeners({
      ...{ ...followed, protocol: 'tcp', serving: started },
      inherited: predecessor.takeAll('tcp'),
    }),
  )
  const { loop, counters } = started
  const mesh =
    backhaul.address === undefined ? undefined : { address: backhaul.address, port: backhaulPort }
  datagrams = entrances.use(
    new FollowedDatagrams({
      ...{ ...followed, loop, counters, random, mesh, predecessor },
      flows: await predecessor.replaced(),
      watchHost: (hostId, address) => running.backhaul.watch(hostId, address),
    }),
  )
  predecessor.taken(loop)
  if (config.metrics_port !== undefined) {
    const render = () =>
      renderMetrics(counters, config.region) + renderLoads(ownMachines(router), config.region)
    const metrics = serveMetrics({ port: config.metrics_port, render, log })
    entrances.defer(() => {
      metrics.close()
      metrics.closeAllConnections()
    })
  }
  const [tcp, udp] = [listeners, datagrams]
  const door = opened.use(
    new HandoverDoor({
      ...{ path: handoverPath, loop, clock, log, loads },
      prepare: () => running.save(),
      sockets: () => [...heldSockets(tcp, running, mesh), ...udp.sockets],
      handOver: () => udp.handOver(),
    }),
  )
  entrances.defer(() => door.shut())
  if (config.admin_socket !== undefined) {
    // Until the end: whoever asks whether this host is well must get an answer until another process gives it.
    const admin = await serveAdmin(router, config.admin_socket)
    opened.defer(() => admin.close())
  }
  const { moved } = backhaul
  return { routing, serving: started, entrances, ticketKey, moved, door }
}

function heldSockets(
  listeners: FollowedListeners,
  { backhaulListener: fd }: Routing,
  mesh: { address: string; port: number } | undefined,
): HeldSocket[] {
  const held: HeldSocket[] = listeners.sockets.map((one) => ({ ...one, use: 'tcp' }))
  if (fd !== undefined && mesh !== undefined) held.push({ ...mesh, use: 'backhaul', fd })
  return held
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
