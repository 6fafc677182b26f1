import type { WorldPlan } from './plan.ts'
import { endsOf } from './routers.ts'

/** What is switched off in the world at the moment. */
export interface Outage {
  /** Hosts that do not announce: withdrawn, or dead. */
  readonly silentHosts?: ReadonlySet<string>
  /** Names of links that are cut. */
  readonly cutLinks?: ReadonlySet<string>
}

interface Choice {
  readonly hops: number
  readonly costUs: number
  /** Regions that the traffic goes to next; empty: it stays, for hosts of this region. */
  readonly via: readonly string[]
}

/**
 * Which hosts an anycast packet of `client` may reach once BGP is quiet: a model of what the routers
 * do, independent of BIRD, for tests and `planet status` to hold the world against. Shortest AS
 * path first, then the lowest sum of link delays; equal paths are all used.
 *
 * @returns names of hosts, sorted; empty when none can be reached.
 */
export function reachableHosts(plan: WorldPlan, client: string, outage: Outage = {}): string[] {
  const home = plan.nodes.find(({ name }) => name === client)?.region
  if (home === undefined) return []
  const isCut = (link: string) => outage.cutLinks?.has(link) ?? false
  if (isCut(`${home}--${client}`)) return []
  const announcing = (region: string) =>
    plan.nodes
      .filter((node) => node.kind === 'host' && node.region === region)
      .filter(({ name }) => !outage.silentHosts?.has(name) && !isCut(`${region}--${name}`))
      .map(({ name }) => name)
  const choices = settle(plan, announcing, isCut)
  const hosts = new Set<string>()
  const visit = (region: string) => {
    const choice = choices.get(region)
    if (choice?.via.length === 0) for (const host of announcing(region)) hosts.add(host)
    for (const next of choice?.via ?? []) visit(next) // hops shrink with each step: this ends
  }
  visit(home)
  return [...hosts].sort()
}

/** Distance-vector rounds until nothing changes; a path never has more hops than regions. */
function settle(
  plan: WorldPlan,
  announcing: (region: string) => string[],
  isCut: (link: string) => boolean,
): Map<string, Choice> {
  const routers = plan.nodes.filter(({ kind }) => kind === 'transit')
  const local = routers.filter(({ name }) => announcing(name).length > 0)
  let choices = new Map<string, Choice>(local.map(({ name }) => [name, START]))
  for (let round = 0; round < routers.length; round += 1) {
    const next = new Map<string, Choice>()
    for (const { name } of routers) {
      const offers = plan.links.flatMap((link) => {
        const other = endsOf(link, name)?.[1].node
        const heard = other === undefined || isCut(link.name) ? undefined : choices.get(other)
        if (other === undefined || heard === undefined) return []
        return [{ hops: heard.hops + 1, costUs: heard.costUs + link.delayUs, via: [other] }]
      })
      const best = chooseBest(announcing(name).length > 0 ? [START, ...offers] : offers)
      if (best !== undefined) next.set(name, best)
    }
    choices = next
  }
  return choices
}

const START: Choice = { hops: 1, costUs: 0, via: [] }

function chooseBest(offers: readonly Choice[]): Choice | undefined {
  const [best] = [...offers].sort((a, b) => a.hops - b.hops || a.costUs - b.costUs)
  if (best === undefined) return undefined
  const equal = offers.filter((one) => one.hops === best.hops && one.costUs === best.costUs)
  return { ...best, via: equal.flatMap(({ via }) => via) }
}
