import { type Log, systemClock } from '#base'
import { Directory } from '../directory/directory.ts'
import { authority, type Handler, resolver } from '../resolver.ts'
import { followRows } from '../rows/follow-rows.ts'
import { ClientLimits } from '../server/client-limits.ts'
import { listenTcp } from '../server/tcp.ts'
import { listenUdp, type UdpListener } from '../server/udp.ts'
import { Upstream } from '../upstream/upstream.ts'
import { InternalZone } from '../zone/internal-zone.ts'
import { PublicZone } from '../zone/public-zone.ts'
import { serveAdmin } from './admin.ts'
import type { DnsConfig } from './dns-config.ts'
import { DnsMetrics } from './dns-metrics.ts'
import { parseEndpoint } from './endpoint.ts'
import { explain } from './explain.ts'
import { serveObserve } from './observe.ts'

export interface RunningDns extends AsyncDisposable {
  /** In the order of the configuration: `listen`, then `public.listen`. */
  readonly ports: readonly number[]
  readonly observePort: number
}

/**
 * A resolver over what its configuration names. It starts without corrosion: until all rows were read once it
 * answers SERVFAIL, and from then on whatever becomes of corrosion.
 * @throws DnsError dns.listen_failed, dns.endpoint_bad, dns.name_bad
 */
export async function openDns(config: DnsConfig, { log }: { log: Log }): Promise<RunningDns> {
  await using opened = new AsyncDisposableStack()
  const directory = new Directory()
  const { url, bearer_token: bearerToken } = config.corrosion
  const token = bearerToken === undefined ? {} : { bearerToken }
  const rows = opened.use(followRows({ url, ...token, directory, log }))
  const isReady = () => rows.isComplete
  const zone = new InternalZone(directory, { hostId: config.host_id, region: config.region })
  const publicZone = publicZoneOf(directory, config)
  const upstream = upstreamOf(config)
  const limits = new ClientLimits({
    questionsPerSecond: config.limits.questions_per_second,
    waitingMax: config.limits.waiting,
    clock: systemClock,
  })
  const sockets: UdpListener[] = []
  const unsent = () => sockets.reduce((sum, socket) => sum + socket.unsent, 0)
  const metrics = new DnsMetrics({ rows, limits, upstream, unsent })
  const onFault = (err: unknown) => {
    metrics.fault()
    log.error({ err }, 'a fault while answering')
  }
  const ports: number[] = []
  const listen = async (endpoints: readonly string[], handle: Handler) => {
    for (const text of endpoints) {
      const at = parseEndpoint(text)
      const udp = opened.use(await listenUdp(at, handle, { limits, onFault }))
      opened.use(await listenTcp({ ...at, port: udp.port }, handle, { onFault }))
      sockets.push(udp)
      ports.push(udp.port)
    }
  }
  const callerOf = (source: string) => directory.callerOfSource(source)
  const recursion = upstream === undefined ? {} : { upstream }
  const internal = resolver({ zone, callerOf, ...recursion, isReady })
  await listen(config.listen, metrics.counted('internal', internal))
  if (publicZone !== undefined) {
    const handle = metrics.counted('public', authority(publicZone, isReady))
    await listen(config.public?.listen ?? [], handle)
  }
  const observe = opened.use(await serveObserve(parseEndpoint(config.observe), { metrics, rows }))
  const sources = { directory, zone, publicZone, upstreams: config.upstream.servers, isReady }
  opened.use(await serveAdmin(config.admin, (question) => explain(sources, question)))
  log.info({ ports, observe: observe.port, admin: config.admin }, 'serving DNS')
  const kept = opened.move()
  return {
    ports,
    observePort: observe.port,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

function publicZoneOf(directory: Directory, config: DnsConfig): PublicZone | undefined {
  if (config.public === undefined) return undefined
  const { domain, name_servers: nameServers, issuers } = config.public
  return new PublicZone(directory, { domain, nameServers, issuers })
}

function upstreamOf({ upstream }: DnsConfig): Upstream | undefined {
  if (upstream.servers.length === 0) return undefined
  return new Upstream({ endpoints: upstream.servers.map(parseEndpoint), tryMs: upstream.try_ms })
}
