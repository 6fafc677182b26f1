import type { Explanation } from '../balance/explain.ts'
import { wishOf } from '../balance/wish.ts'
import type { ProxyRouter } from '../router/router.ts'
import type { AppEntry } from '../routing-table/app-tree.ts'

/** What `godwit proxy explain` asks. */
export interface ExplainQuestion {
  /** A host name, or an address of an app. */
  readonly host: string
  readonly path: string
  readonly port: number
  /** Routing headers, as a client would send them. */
  readonly headers: Readonly<Record<string, string>>
}

export type ExplainAnswer =
  | { readonly found: true; readonly path: string; readonly decision: Explanation }
  | { readonly found: false; readonly why: string }

/** Everything that a request would be decided by, now. Nothing is chosen, counted or started. */
export function explainRequest(router: ProxyRouter, question: ExplainQuestion): ExplainAnswer {
  const { table } = router.core
  const { host, port, path, headers } = question
  const name = host.toLowerCase()
  const byAddress = table.address(host)
  const app =
    table.appOfHostname(name) ??
    table.appByName(name) ??
    (byAddress?.kind === 'shared_v4'
      ? undefined
      : table.app([...(byAddress?.appIds ?? [])][0] ?? ''))
  if (app === undefined) {
    const isShared = byAddress?.kind === 'shared_v4'
    return { found: false, why: isShared ? 'a shared address needs a host name' : 'nobody has it' }
  }
  const route = app.route('tcp', port, table.topology)
  if (route === undefined) {
    return { found: false, why: `no machine of ${app.name} exposes port ${port}` }
  }
  const wish = wishOf({ header: (wanted) => headers[wanted] })
  return { found: true, path, decision: router.explain(route, wish) }
}

/** One line of `godwit proxy top`. */
export interface TopApp {
  readonly app: string
  readonly running: number
  readonly starting: number
  readonly stopped: number
  /** Connections or requests in flight from this proxy. */
  readonly in_flight: number
  /** Estimate of all proxies'. */
  readonly load: number
  readonly soft_limit: number
}

export interface TopView {
  readonly host: string
  readonly waiting: number
  readonly waking: number
  readonly starts: number
  readonly start_failures: number
  readonly refused_full_line: number
  readonly replays: number
  readonly replay_fallbacks: number
  readonly replay_cache_hits: number
  readonly unreachable_hosts: readonly string[]
  /** Busiest first. */
  readonly apps: readonly TopApp[]
}

const APPS_MAX = 500

export function topView(router: ProxyRouter): TopView {
  const { core, replays } = router
  const { table, waking } = core
  const apps = [...table.apps()].filter(({ machines }) => machines.size > 0).map(topApp)
  const unreachable = [...table.topology.hosts()].filter(
    (host) => host.isKnown && !host.isReachable,
  )
  return {
    host: table.topology.ownHostId,
    waiting: core.waitingCount,
    waking: waking.wakingCount,
    starts: waking.startCount,
    start_failures: waking.failureCount,
    refused_full_line: core.overflowCount,
    replays: replays.counters.replayed,
    replay_fallbacks: replays.counters.fallback,
    replay_cache_hits: replays.counters.cacheHit,
    unreachable_hosts: unreachable.map(({ id }) => id),
    apps: apps
      .sort((a, b) => b.in_flight - a.in_flight || b.load - a.load || (a.app < b.app ? -1 : 1))
      .slice(0, APPS_MAX),
  }
}

function topApp({ name, machines }: AppEntry): TopApp {
  const counts = { running: 0, starting: 0, stopped: 0, in_flight: 0, load: 0, soft_limit: 0 }
  for (const { availability, isWaking, services } of machines) {
    if (isWaking || availability === 'starting') counts.starting += 1
    else if (availability === 'running') counts.running += 1
    else if (availability === 'startable') counts.stopped += 1
    for (const { inFlight, load, softLimit } of services) {
      counts.in_flight += inFlight
      counts.load += load
      if (availability === 'running') counts.soft_limit += softLimit
    }
  }
  return { app: name, ...counts }
}

/** What goes to a machine of this host, for flyd to tell the others: `load` of its row. */
export interface MachineLoad {
  readonly machine: string
  readonly in_flight: number
  /** Of the hard limit, else of the soft one: 0 to 1, of its busiest service. */
  readonly load: number
}

/** In flight, and begun ever, at each machine of this host, from all proxies together. */
export function ownMachines(
  router: ProxyRouter,
): readonly { app: string; machine: string; inFlight: number; begun: number }[] {
  const { table } = router.core
  return [...table.apps()].flatMap(({ name, machines }) =>
    [...machines]
      .filter(({ host }) => host === table.topology.own)
      .map(({ id, services }) => {
        let [inFlight, begun] = [0, 0]
        for (const service of services) {
          inFlight += service.inFlight
          begun += service.begun
        }
        return { app: name, machine: id, inFlight, begun }
      }),
  )
}

export function machineLoads(router: ProxyRouter): readonly MachineLoad[] {
  const { table } = router.core
  const own = [...table.apps()].flatMap(({ machines }) =>
    [...machines].filter(({ host }) => host === table.topology.own),
  )
  return own.map(({ id, services }) => {
    let [flying, share] = [0, 0]
    for (const { inFlight, hardLimit, softLimit } of services) {
      flying += inFlight
      share = Math.max(share, inFlight / (Number.isFinite(hardLimit) ? hardLimit : softLimit))
    }
    return { machine: id, in_flight: flying, load: Math.min(1, share) }
  })
}
