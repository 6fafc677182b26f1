import type { WorldPlan } from './plan.ts'
import { endsOf } from './routers.ts'

/**
 * A model of what the world's routers decide once BGP is quiet, independent of BIRD: `up` waits until
 * the kernels agree with it, and tests hold the world against it. Shortest AS path first, then the
 * lowest sum of cable lengths (see renderBirdConfig); equal paths are all used.
 */

/** What is switched off in the world at the moment. */
export interface Outage {
  /** Hosts that do not announce anycast prefixes: withdrawn, or dead. */
  readonly silentHosts?: ReadonlySet<string>
  /** Names of links that are cut. */
  readonly cutLinks?: ReadonlySet<string>
}

interface Choice {
  readonly hops: number
  readonly costUs: number
  /** Neighbours that the traffic goes to next. Empty: the router itself has the prefix. */
  readonly via: readonly string[]
}

/** For each router that knows a way to `prefix`: the neighbours it uses, sorted. */
export function nextHops(
  plan: WorldPlan,
  prefix: string,
  outage: Outage = {},
): Map<string, readonly string[]> {
  const isCut = (link: string) => outage.cutLinks?.has(link) ?? false
  const isAnycast = plan.anycast.some((anycast) => anycast.prefix === prefix)
  let choices = new Map<string, Choice>()
  for (const router of routersOf(plan)) {
    const hosts = isAnycast ? announcingHosts(plan, router.name, outage) : []
    if (hosts.length > 0) choices.set(router.name, { hops: 1, costUs: 0, via: hosts })
    else if (router.prefixes.includes(prefix)) {
      choices.set(router.name, { hops: 0, costUs: 0, via: [] })
    }
  }
  const origins = choices
  // A path has at most as many hops as there are routers, and each round settles one more hop.
  for (const _ of routersOf(plan)) choices = exchange(plan, origins, choices, isCut)
  return new Map([...choices].map(([router, { via }]) => [router, [...via].sort()]))
}

/**
 * The hosts that an anycast packet of `client` may reach. Names, sorted; empty when none can be.
 */
export function reachableHosts(plan: WorldPlan, client: string, outage: Outage = {}): string[] {
  const home = plan.nodes.find(({ name }) => name === client)?.region
  const prefix = plan.anycast[0]?.prefix
  if (home === undefined || prefix === undefined) return []
  if (outage.cutLinks?.has(`${home}--${client}`)) return []
  const via = nextHops(plan, prefix, outage)
  const hosts = new Set<string>()
  const follow = (router: string) => {
    for (const next of via.get(router) ?? []) {
      if (via.has(next)) follow(next)
      else hosts.add(next)
    }
  }
  follow(home)
  return [...hosts].sort()
}

const routersOf = (plan: WorldPlan) => plan.nodes.filter(({ kind }) => kind === 'transit')

function announcingHosts(plan: WorldPlan, region: string, outage: Outage): string[] {
  return plan.nodes
    .filter((node) => node.kind === 'host' && node.region === region)
    .map(({ name }) => name)
    .filter((name) => !outage.silentHosts?.has(name) && !outage.cutLinks?.has(`${region}--${name}`))
}

/** One round: every router hears what its neighbours chose in the round before. */
function exchange(
  plan: WorldPlan,
  origins: ReadonlyMap<string, Choice>,
  heard: ReadonlyMap<string, Choice>,
  isCut: (link: string) => boolean,
): Map<string, Choice> {
  const next = new Map<string, Choice>()
  for (const { name } of routersOf(plan)) {
    const own = origins.get(name)
    const offers = plan.links.flatMap((link): Choice[] => {
      const other = endsOf(link, name)?.[1].node
      const choice = other === undefined ? undefined : heard.get(other)
      if (other === undefined || choice === undefined || isCut(link.name)) return []
      return [{ hops: choice.hops + 1, costUs: choice.costUs + link.costUs, via: [other] }]
    })
    const best = chooseBest(own === undefined ? offers : [own, ...offers])
    if (best !== undefined) next.set(name, best)
  }
  return next
}

function chooseBest(offers: readonly Choice[]): Choice | undefined {
  const [best] = [...offers].sort((a, b) => a.hops - b.hops || a.costUs - b.costUs)
  if (best === undefined) return undefined
  const equal = offers.filter((one) => one.hops === best.hops && one.costUs === best.costUs)
  return { ...best, via: equal.flatMap(({ via }) => via) }
}
