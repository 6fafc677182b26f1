import { errorCode } from '#base'
import { type CommandRecord, commandLog } from './commands.ts'
import { type Disagreement, findDisagreements } from './convergence.ts'
import { readDelayStats } from './delay/control-client.ts'
import type { DirectionStats } from './delay/direction.ts'
import type { LinkStats } from './delay/link.ts'
import { delayControlSocket } from './folders.ts'
import type { Cut } from './links.ts'
import { type NodeKind, netnsName } from './plan.ts'
import { protocolsIfRunning, type World } from './world.ts'

export interface NodeStatus {
  readonly name: string
  readonly kind: NodeKind
  readonly region: string
  readonly asn?: number
  readonly ipv4: string
  readonly ipv6: string
  readonly netns: string
  readonly isUp: boolean
  /** Anycast prefixes that a host announces. */
  readonly announces: readonly string[]
  /** BGP sessions: up, of all that the node has. */
  readonly sessions: { readonly up: number; readonly all: number }
  readonly commands: readonly (Pick<CommandRecord, 'name' | 'command' | 'args'> & {
    readonly log: string
  })[]
}

export interface LinkStatus {
  readonly name: string
  readonly nodes: readonly [string, string]
  readonly delayMs: number
  /** How it is cut; null when it is whole. */
  readonly cut: Cut | null
  /** What a delayed link has carried, holds and has dropped, from each end; null for others. */
  readonly traffic: readonly [DirectionStats, DirectionStats] | null
}

/** What a planet is and how it does, all at one moment. */
export interface WorldStatus {
  readonly planet: string
  readonly anycast: readonly string[]
  readonly nodes: readonly NodeStatus[]
  readonly links: readonly LinkStatus[]
  /** Routes of which the kernels differ from the model; empty when the world is quiet. */
  readonly unsettled: readonly Disagreement[]
}

export async function worldStatus(world: World, signal?: AbortSignal): Promise<WorldStatus> {
  const traffic = new Map((await delayStats(world, signal)).map((link) => [link.name, link]))
  const cuts = new Map(world.cuts().map(({ link, ...cut }) => [link, cut]))
  const nodes = await Promise.all(world.nodes.map(({ name }) => nodeStatus(world, name, signal)))
  const silentHosts = new Set(
    nodes
      .filter(({ kind, announces }) => kind === 'host' && announces.length === 0)
      .map(({ name }) => name),
  )
  const outage = { silentHosts, cutLinks: new Set(cuts.keys()) }
  return {
    planet: world.name,
    anycast: world.plan.anycast.map(({ prefix }) => prefix),
    nodes,
    links: world.plan.links.map(({ name, ends, delayUs }) => ({
      name,
      nodes: [ends[0].node, ends[1].node],
      delayMs: (traffic.get(name)?.delayUs ?? delayUs) / 1000,
      cut: cuts.get(name) ?? null,
      traffic: traffic.get(name)?.directions ?? null,
    })),
    unsettled: await findDisagreements(world.plan, outage, signal),
  }
}

/** None when no link is delayed, or when the process that delays them died: its links are dark. */
async function delayStats(world: World, signal?: AbortSignal): Promise<readonly LinkStats[]> {
  if (world.plan.links.every(({ delayUs }) => delayUs === 0)) return []
  try {
    return await readDelayStats(delayControlSocket(world.name), signal)
  } catch (error) {
    if (errorCode(error) === 'delay.unreachable') return []
    throw error
  }
}

async function nodeStatus(world: World, name: string, signal?: AbortSignal): Promise<NodeStatus> {
  const node = world.node(name)
  const { kind, region, asn, ipv4, ipv6 } = node.plan
  const sessions = await bgpSessions(world, name, signal)
  return {
    name,
    kind,
    region,
    ...(asn === undefined ? {} : { asn }),
    ipv4,
    ipv6,
    netns: netnsName(world.name, name),
    isUp: node.isUp,
    announces: kind === 'host' ? await world.announced(name, signal) : [],
    sessions,
    commands: world.commands(name).map((record) => ({
      name: record.name,
      command: record.command,
      args: record.args,
      log: commandLog(node, record.name),
    })),
  }
}

async function bgpSessions(world: World, name: string, signal?: AbortSignal) {
  const node = world.node(name)
  if (node.plan.kind === 'client' || !node.isUp) return { up: 0, all: 0 }
  const bgp = (await protocolsIfRunning(node.bird, signal)).filter(({ kind }) => kind === 'BGP')
  return { up: bgp.filter(({ isUp }) => isUp).length, all: bgp.length }
}
