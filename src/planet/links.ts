import { rmSync } from 'node:fs'
import { PlanetError } from './errors.ts'
import { listFolder, readJson, runFolder, writeJson } from './folders.ts'
import type { LinkEnd, LinkPlan, WorldPlan } from './plan.ts'
import { ipBatch, run } from './system.ts'

/** How a link is cut. */
export interface Cut {
  /**
   * False: both ends see the light go out at once. True: frames vanish while the ends believe the
   * link to be up, until some protocol misses its peer.
   */
  readonly silent: boolean
  /** Only frames that this node sends vanish; needs `silent`. */
  readonly from?: string
}

export interface CutLink extends Cut {
  readonly link: string
}

const netnsOf = (plan: WorldPlan, node: string) =>
  plan.nodes.find(({ name }) => name === node)?.netns ?? ''

/** Makes every interface of the world, with its addresses. Plain links are up; TAPs wait for delayd. */
export async function createLinks(plan: WorldPlan, signal?: AbortSignal): Promise<void> {
  const pairs = plan.links
    .filter(({ delayUs }) => delayUs === 0)
    .map(({ ends: [a, b] }) => {
      const side = ({ node, interface: name }: LinkEnd) => `${name} netns ${netnsOf(plan, node)}`
      return `link add ${side(a)} type veth peer name ${side(b)}`
    })
  await ipBatch(pairs, { signal })
  for (const node of plan.nodes) {
    const lines = plan.links.flatMap((link) =>
      link.ends.filter((end) => end.node === node.name).flatMap((end) => endLines(link, end)),
    )
    const own = node.kind === 'host' ? plan.anycast.map(({ prefix }) => prefix) : []
    // A local route for a whole prefix: the host takes every address of it for its own.
    const local = own.map((prefix) => `route add local ${prefix} dev lo`)
    await ipBatch(['link set lo up', ...local, ...lines], { netns: node.netns, signal })
  }
}

function endLines({ delayUs }: LinkPlan, { interface: name, ipv4, ipv6 }: LinkEnd): string[] {
  return [
    ...(delayUs === 0 ? [] : [`tuntap add dev ${name} mode tap vnet_hdr`]),
    `addr add ${ipv4}/31 dev ${name}`,
    `addr add ${ipv6}/64 dev ${name} nodad`,
  ]
}

/** The link between two neighbours, named in either order. @throws PlanetError planet.link_unknown */
export function findLink(plan: WorldPlan, a: string, b: string): LinkPlan {
  const found = plan.links.find(({ ends }) => {
    const nodes = ends.map(({ node }) => node)
    return nodes.includes(a) && nodes.includes(b) && a !== b
  })
  if (found !== undefined) return found
  const neighbours = plan.links
    .filter(({ ends }) => ends.some(({ node }) => node === a))
    .map(({ ends }) => ends.find(({ node }) => node !== a)?.node)
  throw new PlanetError('planet.link_unknown', {
    what: 'no link between these nodes',
    values: { planet: plan.name, nodes: `${a} ${b}` },
    fix:
      neighbours.length > 0 ? `${a} has links to ${neighbours.join(', ')}` : 'godwit planet status',
  })
}

const cutFile = (plan: WorldPlan, link: LinkPlan) =>
  runFolder(plan.name, 'cuts', `${link.name}.json`)

/** Cuts a link that is whole. */
export async function cutLink(
  plan: WorldPlan,
  link: LinkPlan,
  cut: Cut,
  signal?: AbortSignal,
): Promise<void> {
  const record: CutLink = { ...cut, link: link.name }
  writeJson(cutFile(plan, link), record)
  for (const end of link.ends) {
    const netns = netnsOf(plan, end.node)
    if (!cut.silent) await ipBatch([`link set ${end.interface} down`], { netns, signal })
    else if (cut.from !== end.node) await run('ip', dropAll(netns, end), { signal })
  }
}

/** Undoes a cut of any kind. May run twice. The interface of a dead node stays dark. */
export async function healLink(
  plan: WorldPlan,
  link: LinkPlan,
  isUp: (node: string) => boolean,
  signal?: AbortSignal,
): Promise<void> {
  const record = readJson<CutLink>(cutFile(plan, link))
  if (record === undefined) return
  for (const end of link.ends) {
    const netns = netnsOf(plan, end.node)
    if (record.silent) await run('ip', forgetDrop(netns, end), { signal })
    else if (isUp(end.node)) await ipBatch([`link set ${end.interface} up`], { netns, signal })
  }
  rmSync(cutFile(plan, link), { force: true })
}

export function listCuts(plan: WorldPlan): CutLink[] {
  const folder = runFolder(plan.name, 'cuts')
  return listFolder(folder)
    .filter((file) => file.endsWith('.json'))
    .flatMap((file) => readJson<CutLink>(`${folder}/${file}`) ?? [])
}

const dropTable = (end: LinkEnd) => `cut-${end.interface}`

/** Drops every frame that arrives at this end, ARP and neighbour discovery included. */
function dropAll(netns: string, end: LinkEnd): string[] {
  const hook = `type filter hook ingress device "${end.interface}" priority -500; policy drop;`
  const rules = `table netdev ${dropTable(end)} { chain ingress { ${hook} }; }`
  return ['netns', 'exec', netns, 'nft', rules]
}

/** `add` first, so that deleting also succeeds when the table is not there. */
function forgetDrop(netns: string, end: LinkEnd): string[] {
  const table = `table netdev ${dropTable(end)}`
  return ['netns', 'exec', netns, 'nft', `add ${table}; delete ${table}`]
}
