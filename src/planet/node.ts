import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pollUntil } from '#base'
import { BirdControl, renderBirdConfig } from '#bird'
import { identify, isAlive, type ProcessIdentity, signalProcess } from '#supervise'
import { groupOf, makeGroups, thawGroups } from './control-groups.ts'
import { PlanetError } from './errors.ts'
import { nodeDiskFolder, nodeRunFolder, readJson, writeJson } from './folders.ts'
import type { NodePlan, WorldPlan } from './plan.ts'
import { endsOf, routerOf } from './routers.ts'
import { ipBatch, type RunOptions, run } from './system.ts'

const NODE_INIT = fileURLToPath(new URL('node-init.sh', import.meta.url))
/** In the environment of every process of a planet, so that `down` also finds one that strayed. */
export const MEMBER_MARK = 'GODWIT_PLANET_MEMBER'
/** So that `godwit planet exec NODE -- godwit ...` finds it. */
const OUR_PROGRAMS = fileURLToPath(new URL('../../bin', import.meta.url))
const BOOT_DEADLINE_MS = 15_000
const DEATH_DEADLINE_MS = 10_000

/** A command line that runs inside a node. */
export interface CommandLine {
  readonly command: string
  readonly args: readonly string[]
}

export interface SpawnInNodeOptions {
  readonly stdio?: 'inherit' | 'pipe' | 'ignore'
  readonly env?: Readonly<Record<string, string>>
}

/**
 * One host, client city or router of a planet: a network namespace that lasts as long as the planet,
 * and mount, pid, uts and ipc namespaces that last from `boot` to `kill`.
 */
export class PlanetNode {
  readonly plan: NodePlan
  readonly #world: WorldPlan

  constructor(world: WorldPlan, plan: NodePlan) {
    this.#world = world
    this.plan = plan
  }

  get name(): string {
    return this.plan.name
  }

  /** A path of the node's /run/godwit, as the world outside sees it. */
  runPath(...rest: string[]): string {
    return nodeRunFolder(this.#world.name, this.name, ...rest)
  }

  /** A path of the node's /var/lib/godwit, its disk, as the world outside sees it. */
  diskPath(...rest: string[]): string {
    return join(nodeDiskFolder(this.#world.name, this.name), ...rest)
  }

  /** The control socket of the node's routing daemon. Clients have none. */
  get bird(): BirdControl {
    return new BirdControl(this.runPath('bird.ctl'))
  }

  get isUp(): boolean {
    return this.#init() !== undefined
  }

  #init(): ProcessIdentity | undefined {
    const init = readJson<ProcessIdentity>(this.runPath('init.json'))
    return init !== undefined && isAlive(init) ? init : undefined
  }

  /** Starts the node's first process. Its links are up, and its routing daemon runs, afterwards. */
  async boot(signal?: AbortSignal): Promise<void> {
    if (this.isUp) return
    this.#writeIdentity()
    const pid = await this.#startInit(signal)
    const identity = identify(pid)
    if (identity === undefined) throw this.#bootFailed('its first process ended at once')
    writeJson(this.runPath('init.json'), identity)
  }

  /** Interfaces up, but for those of `darkLinks`; then the routing daemon: the last part of a boot. */
  async join(darkLinks: ReadonlySet<string>, signal?: AbortSignal): Promise<void> {
    await ipBatch(
      this.#interfaces(darkLinks).map((name) => `link set ${name} up`),
      { netns: this.plan.netns, signal },
    )
    await this.setRoutes(darkLinks, signal)
    this.#startBird()
  }

  /** Routes go when an interface goes down, so they are set at every boot, and when a link is healed. */
  async setRoutes(darkLinks: ReadonlySet<string>, signal?: AbortSignal): Promise<void> {
    if (this.plan.kind === 'transit') return
    const lines = defaultRoutes(this.#world, this.plan, darkLinks)
    await ipBatch(lines, { netns: this.plan.netns, signal })
  }

  /**
   * What a power cut does: the links go dark, then every process of the node is gone at once, and so
   * are its mounts. Its disk stays. May run twice.
   */
  async kill(signal?: AbortSignal): Promise<void> {
    await ipBatch(
      this.#interfaces().map((name) => `link set ${name} down`),
      { netns: this.plan.netns, signal },
    )
    const init = this.#init()
    if (init === undefined) return
    signalProcess(init, 'SIGKILL')
    const isGone = () => {
      thawGroups(this.#world.name, this.name) // machines that are suspended: else they outlive the power cut
      return !isAlive(init)
    }
    await pollUntil(`the end of ${this.name}`, isGone, {
      deadlineMs: DEATH_DEADLINE_MS,
      signal,
    })
    rmSync(this.runPath('init.json'), { force: true })
  }

  /**
   * The command line that runs another one inside the node, for `spawn` and friends.
   *
   * @throws PlanetError planet.node_down
   */
  enter({ command, args }: CommandLine): CommandLine {
    const init = this.#init()
    if (init === undefined) {
      throw new PlanetError('planet.node_down', {
        what: 'the node is down',
        values: { planet: this.#world.name, node: this.name },
        fix: `bring it back: godwit planet boot ${this.name}`,
      })
    }
    const target = ['--target', String(init.pid), '--mount', '--uts', '--ipc', '--net', '--pid']
    return { command: 'nsenter', args: [...target, '--', command, ...args] }
  }

  /** Environment of everything that runs in the node. */
  get environment(): Record<string, string> {
    return {
      [MEMBER_MARK]: this.#world.name,
      GODWIT_PLANET: this.#world.name,
      GODWIT_NODE: this.name,
      GODWIT_REGION: this.plan.region,
      PATH: `${OUR_PROGRAMS}:${process.env['PATH'] ?? ''}`,
    }
  }

  /** Runs a command in the node to its end; gives its standard output. @throws planet.system */
  async run(
    command: string,
    args: readonly string[] = [],
    options: RunOptions = {},
  ): Promise<string> {
    const entered = this.enter({ command, args })
    return await run(entered.command, entered.args, options)
  }

  /** Starts a command in the node. It leads a process group of its own: signal that to end it. */
  spawn(command: string, args: readonly string[], options: SpawnInNodeOptions = {}): ChildProcess {
    const entered = this.enter({ command, args })
    return spawn(entered.command, entered.args, {
      detached: options.stdio !== 'inherit',
      stdio: options.stdio ?? 'pipe',
      env: { ...process.env, ...this.environment, ...options.env },
    })
  }

  #interfaces(except: ReadonlySet<string> = new Set()): string[] {
    return this.#world.links
      .filter(({ name }) => !except.has(name))
      .flatMap((link) => endsOf(link, this.name)?.[0].interface ?? [])
  }

  #writeIdentity(): void {
    const known = this.#world.nodes.flatMap(({ name, ipv4, ipv6 }) => [
      `${ipv4} ${name}`,
      `${ipv6} ${name}`,
    ])
    const hosts = ['127.0.0.1 localhost', '::1 localhost', ...known]
    writeFileSync(this.runPath('hosts'), `${hosts.join('\n')}\n`)
    writeFileSync(this.runPath('resolv.conf'), '# the planet has no resolver of its own\n')
  }

  /** Gives the pid that the init prints once it is ready. */
  async #startInit(signal?: AbortSignal): Promise<number> {
    const forwarding = this.plan.kind === 'transit' ? '1' : '0'
    const folders = [this.runPath(), nodeDiskFolder(this.#world.name, this.name)]
    makeGroups(this.#world.name, this.name)
    const group = groupOf(this.#world.name, this.name)
    const init = [NODE_INIT, this.name, ...folders, forwarding, group]
    const unshare = ['unshare', '--mount', '--uts', '--ipc', '--pid', '--fork', ...init]
    const log = openSync(this.runPath('init.log'), 'a')
    const child = spawn('nsenter', [`--net=/run/netns/${this.plan.netns}`, ...unshare], {
      detached: true,
      stdio: ['ignore', 'pipe', log],
      env: { ...process.env, ...this.environment },
    })
    closeSync(log)
    child.unref()
    let printed = ''
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      printed += chunk
    })
    let failure: string | undefined
    child.once('error', (error) => {
      failure = error.message
    })
    child.once('exit', (code) => {
      failure ??= `node-init.sh ended with ${code}; see ${this.runPath('init.log')}`
    })
    const isReady = () => {
      if (failure !== undefined) throw this.#bootFailed(failure)
      return printed.endsWith('\n')
    }
    await pollUntil(`the boot of ${this.name}`, isReady, { deadlineMs: BOOT_DEADLINE_MS, signal })
    child.stdout?.destroy()
    return Number(printed)
  }

  #bootFailed(why: string): PlanetError {
    return new PlanetError('planet.system', {
      what: 'a node did not boot',
      values: { planet: this.#world.name, node: this.name, why },
      fix: 'see what is missing: godwit doctor',
    })
  }

  #startBird(): void {
    const router = routerOf(this.#world, this.plan)
    if (router === undefined) return
    rmSync(this.runPath('bird.ctl'), { force: true })
    writeFileSync(this.runPath('bird.conf'), renderBirdConfig(router))
    const log = openSync(this.runPath('bird.log'), 'a')
    const inside = '/run/godwit'
    const args = ['-f', '-c', `${inside}/bird.conf`, '-s', `${inside}/bird.ctl`]
    const entered = this.enter({ command: 'bird', args })
    const child = spawn(entered.command, entered.args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...this.environment },
    })
    closeSync(log)
    child.unref()
  }
}

/** Hosts and clients send everything to their region's router. `replace`: may run twice. */
export function defaultRoutes(
  world: WorldPlan,
  node: NodePlan,
  darkLinks: ReadonlySet<string>,
): string[] {
  return world.links.flatMap((link) => {
    const ends = endsOf(link, node.name)
    if (ends === undefined || darkLinks.has(link.name)) return []
    const [own, router] = ends
    return [
      `route replace default via ${router.ipv4} dev ${own.interface}`,
      `route replace ::/0 via ${router.ipv6} dev ${own.interface}`,
    ]
  })
}
