import { pollUntil } from '#base'
import { PlanetError } from './errors.ts'
import { listCuts } from './links.ts'
import { nextHops, type Outage } from './path-choice.ts'
import type { WorldPlan } from './plan.ts'
import { run } from './system.ts'

/** Where the kernel of a router sends packets for a prefix, against what it should. */
export interface Disagreement {
  readonly router: string
  readonly prefix: string
  readonly expected: readonly string[]
  readonly actual: readonly string[]
}

/** What is off in the world now: cut links, and hosts that are known not to announce. */
export function currentOutage(plan: WorldPlan, silentHosts: ReadonlySet<string>): Outage {
  return { silentHosts, cutLinks: new Set(listCuts(plan).map(({ link }) => link)) }
}

/** Every route of every router's kernel that differs from the model. Empty: the world is quiet. */
export async function findDisagreements(
  plan: WorldPlan,
  outage: Outage,
  signal?: AbortSignal,
): Promise<Disagreement[]> {
  const routers = plan.nodes.filter(({ kind }) => kind === 'transit')
  const prefixes = [
    ...plan.anycast.map(({ prefix }) => prefix),
    ...routers.flatMap((router) => router.prefixes),
  ]
  const expected = new Map(prefixes.map((prefix) => [prefix, nextHops(plan, prefix, outage)]))
  const found = await Promise.all(
    routers.map(async (router) => {
      const table = await kernelRoutes(router.netns, signal)
      return prefixes.map((prefix) => ({
        router: router.name,
        prefix,
        expected: expected.get(prefix)?.get(router.name) ?? [],
        actual: table.get(prefix) ?? [],
      }))
    }),
  )
  return found.flat().filter(({ expected, actual }) => expected.join() !== actual.join())
}

/** @throws PlanetError planet.not_converged with the first route that still differs. */
export async function waitConverged(
  plan: WorldPlan,
  outage: Outage,
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<void> {
  let left: Disagreement[] = []
  const isQuiet = async () => {
    left = await findDisagreements(plan, outage, signal)
    return left.length === 0
  }
  try {
    await pollUntil('the routers to agree', isQuiet, { deadlineMs, signal })
  } catch (cause) {
    signal?.throwIfAborted()
    const [first] = left
    throw new PlanetError('planet.not_converged', {
      what: `the routers did not agree within ${deadlineMs} ms`,
      values: { planet: plan.name, routes: left.length, ...first },
      fix: 'see the routers: godwit planet status; their logs are nodes/*/bird.log',
      cause,
    })
  }
}

interface IpRoute {
  readonly dst: string
  readonly dev?: string
  readonly protocol?: string
  readonly nexthops?: readonly { readonly dev: string }[]
}

/** Routes that BIRD put there: prefix to the interfaces they use, which bear the neighbours' names. */
async function kernelRoutes(netns: string, signal?: AbortSignal): Promise<Map<string, string[]>> {
  const read = async (family: '-4' | '-6') => {
    const args = ['-json', family, '-n', netns, 'route', 'show', 'proto', 'bird']
    return JSON.parse((await run('ip', args, { signal })) || '[]') as IpRoute[]
  }
  const table = new Map<string, string[]>()
  for (const route of (await Promise.all([read('-4'), read('-6')])).flat()) {
    const via = [...(route.nexthops ?? []).map(({ dev }) => dev), ...(route.dev ? [route.dev] : [])]
    const known = table.get(route.dst) ?? [] // IPv6 may list equal paths as routes of their own
    table.set(route.dst, [...new Set([...known, ...via])].sort())
  }
  return table
}
