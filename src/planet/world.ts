import { errorCode } from '#base'
import type { BirdControl, ProtocolState } from '#bird'
import { type CommandRecord, listCommands, startCommand, stopCommand } from './commands.ts'
import { waitConverged } from './convergence.ts'
import { setLinkDelay } from './delay/control-client.ts'
import { PlanetError } from './errors.ts'
import { delayControlSocket, operatorFolder, readRecord } from './folders.ts'
import { type CutLink, cutLink, findLink, healLink, listCuts } from './links.ts'
import { PlanetNode } from './node.ts'
import type { Outage } from './path-choice.ts'
import { checkPlanetName, type WorldPlan } from './plan.ts'
import { listPlanets } from './teardown.ts'

const CONVERGENCE_DEADLINE_MS = 60_000

/** A planet that stands. Holds nothing but its plan: any number of processes may have one open. */
export class World {
  readonly plan: WorldPlan
  readonly nodes: readonly PlanetNode[]

  constructor(plan: WorldPlan) {
    this.plan = plan
    this.nodes = plan.nodes.map((node) => new PlanetNode(plan, node))
  }

  /** @throws PlanetError planet.not_found, planet.incomplete */
  static open(name: string): World {
    const record = readRecord(checkPlanetName(name))
    if (record?.state === 'ready') return new World(record.plan)
    const all = listPlanets()
    if (record === undefined && !all.includes(name)) {
      throw new PlanetError('planet.not_found', {
        what: 'no such planet',
        values: { planet: name },
        fix:
          all.length === 0
            ? 'build one: godwit planet up'
            : `there are: ${all.join(', ')}; name one with --planet`,
      })
    }
    throw new PlanetError('planet.incomplete', {
      what: 'the planet was left half-built',
      values: { planet: name },
      fix: `remove what is left: godwit planet down --planet ${name}`,
    })
  }

  get name(): string {
    return this.plan.name
  }

  /** On no node: what an operator keeps at home. Goes with the planet. */
  operatorPath(...rest: string[]): string {
    return operatorFolder(this.name, ...rest)
  }

  /** @throws PlanetError planet.node_unknown */
  node(name: string): PlanetNode {
    const found = this.nodes.find((node) => node.name === name)
    if (found !== undefined) return found
    throw new PlanetError('planet.node_unknown', {
      what: 'no such node',
      values: { planet: this.name, node: name },
      fix: `there are: ${this.nodes.map((node) => node.name).join(', ')}`,
    })
  }

  /** Nodes of one kind, in the order of the topology. */
  ofKind(kind: PlanetNode['plan']['kind']): PlanetNode[] {
    return this.nodes.filter((node) => node.plan.kind === kind)
  }

  /** Cuts the link between two neighbours. @throws PlanetError planet.link_unknown, node_unknown */
  async cut(
    a: string,
    b: string,
    { silent = false, from }: { silent?: boolean; from?: string } = {},
    signal?: AbortSignal,
  ): Promise<void> {
    const link = findLink(this.plan, this.node(a).name, this.node(b).name)
    await healLink(this.plan, link, this.#isUp, signal)
    const cut = from === undefined ? { silent } : { silent: true, from: this.node(from).name }
    await cutLink(this.plan, link, cut, signal)
  }

  /** Undoes `cut`. May run twice. */
  async heal(a: string, b: string, signal?: AbortSignal): Promise<void> {
    const link = findLink(this.plan, this.node(a).name, this.node(b).name)
    await healLink(this.plan, link, this.#isUp, signal)
    for (const node of [this.node(a), this.node(b)]) {
      if (this.#isUp(node.name)) await node.setRoutes(this.#darkLinks(), signal)
    }
  }

  /**
   * Makes a delayed link longer or shorter, for frames that enter it from now on. The routers keep to
   * the cable's length of the topology.
   *
   * @throws PlanetError planet.link_unknown, planet.link_immediate
   */
  async stretch(a: string, b: string, delayMs: number, signal?: AbortSignal): Promise<void> {
    const link = findLink(this.plan, this.node(a).name, this.node(b).name)
    if (link.delayUs === 0) {
      throw new PlanetError('planet.link_immediate', {
        what: 'this link has no delay to change',
        values: { planet: this.name, link: link.name },
        fix: 'give it a delay_ms of 0.5 or more in the topology, and build without --no-latency',
      })
    }
    const change = { link: link.name, delayUs: Math.round(delayMs * 1000) }
    await setLinkDelay(delayControlSocket(this.name), change, signal)
  }

  readonly #isUp = (node: string) => this.node(node).isUp

  cuts(): CutLink[] {
    return listCuts(this.plan)
  }

  /** Links whose interfaces are down. */
  #darkLinks(): ReadonlySet<string> {
    const dark = this.cuts().filter(({ silent }) => !silent)
    return new Set(dark.map(({ link }) => link))
  }

  /** Power cut: every process of the node is gone, its links are dark. Its disk stays. */
  kill(node: string, signal?: AbortSignal): Promise<void> {
    return this.node(node).kill(signal)
  }

  /** Brings a killed node back, with its routing daemon and without its commands. May run twice. */
  async boot(name: string, signal?: AbortSignal): Promise<void> {
    const node = this.node(name)
    if (node.isUp) return
    await node.boot(signal)
    await node.join(this.#darkLinks(), signal)
  }

  /** Announces anycast prefixes from a host: all of them, or one. */
  async announce(host: string, prefix?: string, signal?: AbortSignal): Promise<void> {
    const { bird, protocols } = this.#anycast(host, prefix)
    for (const protocol of protocols) await bird.enable(protocol, signal)
  }

  /** Withdraws anycast prefixes from a host: all of them, or one. */
  async withdraw(host: string, prefix?: string, signal?: AbortSignal): Promise<void> {
    const { bird, protocols } = this.#anycast(host, prefix)
    for (const protocol of protocols) await bird.disable(protocol, signal)
  }

  #anycast(host: string, prefix: string | undefined): { bird: BirdControl; protocols: string[] } {
    const node = this.node(host)
    if (node.plan.kind !== 'host') {
      throw new PlanetError('planet.node_unknown', {
        what: 'only hosts announce anycast prefixes',
        values: { node: host, kind: node.plan.kind },
      })
    }
    const chosen = this.plan.anycast.filter((one) => prefix === undefined || one.prefix === prefix)
    if (prefix !== undefined && chosen.length === 0) {
      throw new PlanetError('planet.prefix_unknown', {
        what: 'not an anycast prefix of this planet',
        values: { prefix },
        fix: `there are: ${this.plan.anycast.map((one) => one.prefix).join(', ')}`,
      })
    }
    if (!node.isUp) node.enter({ command: 'bird', args: [] }) // throws planet.node_down
    return { bird: node.bird, protocols: chosen.map(({ protocol }) => protocol) }
  }

  /** Prefixes that a host announces at this moment; none when its routing daemon is down. */
  async announced(host: string, signal?: AbortSignal): Promise<string[]> {
    const node = this.node(host)
    if (!node.isUp) return []
    const states = await protocolsIfRunning(node.bird, signal)
    const up = new Set(states.filter(({ isUp }) => isUp).map(({ name }) => name))
    return this.plan.anycast.filter(({ protocol }) => up.has(protocol)).map(({ prefix }) => prefix)
  }

  /** What is off at this moment, as the routing model wants it. */
  async outage(signal?: AbortSignal): Promise<Outage> {
    const silentHosts = new Set<string>()
    for (const { name } of this.ofKind('host')) {
      if ((await this.announced(name, signal)).length === 0) silentHosts.add(name)
    }
    return { silentHosts, cutLinks: new Set(this.cuts().map(({ link }) => link)) }
  }

  /** Waits until every router's kernel forwards as the model says for the present outage. */
  async settle(signal?: AbortSignal, deadlineMs = CONVERGENCE_DEADLINE_MS): Promise<void> {
    await waitConverged(this.plan, await this.outage(signal), deadlineMs, signal)
  }

  /** Starts a command in the background of a node; see commands.ts. */
  start(
    node: string,
    name: string,
    [command, ...args]: readonly [string, ...string[]],
    env?: Readonly<Record<string, string>>,
  ): Promise<CommandRecord> {
    return startCommand(this.node(node), name, { command, args }, env)
  }

  /** Stops a command that `start` began, and all that it started. */
  stop(node: string, name: string, signal?: AbortSignal): Promise<void> {
    return stopCommand(this.node(node), name, signal)
  }

  commands(node: string): CommandRecord[] {
    return listCommands(this.node(node))
  }
}

/** The protocols of a routing daemon; none while it does not run, which is an answer, not a fault. */
export async function protocolsIfRunning(
  bird: BirdControl,
  signal?: AbortSignal,
): Promise<ProtocolState[]> {
  try {
    return await bird.protocols(signal)
  } catch (error) {
    signal?.throwIfAborted()
    if (errorCode(error) === 'bird.unreachable') return []
    throw error
  }
}
