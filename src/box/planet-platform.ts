import { cpSync, existsSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { errorCode, pollUntil } from '#base'
import { askFlyd } from '#flyd'
import {
  foundHosts,
  gatewayUrl,
  type HostRole,
  hostStatus,
  loadHostConfig,
  type PartStatus,
  type PlannedHost,
} from '#host'
import type { World } from '#planet'
import { BoxError } from './errors.ts'

const GODWIT = resolve(import.meta.dirname, '../../bin/godwit')
const COMMAND = 'host'
const READY_MS = 180_000
const POLL_MS = 100

export interface BoxHost {
  readonly name: string
  readonly roles: readonly HostRole[]
}

export interface FoundBoxOptions {
  readonly hosts: readonly BoxHost[]
  readonly settings?: PlannedHost['settings']
  /** Of regions, by code. */
  readonly places?: Readonly<Record<string, Place>>
}

export type Place = Omit<PlannedHost['region'], 'code'>

/** What a host of the box has: figures of a small server. */
export const SMALL_SERVER = { cpus: 8, memory_mb: 8192, pool_gb: 2, image_cache_gb: 2 }

/** What `godwit flyd status` tells of a host. */
export interface FlydSeen {
  readonly machines: Readonly<Record<string, number>>
  readonly guests: number
  readonly runs: number
  readonly capacity: { readonly reservations: number }
  readonly rows: { readonly inStep: boolean }
  /** Of a host that drains. */
  readonly evacuation: { readonly moving: readonly string[]; readonly stay: readonly unknown[] }
}

/**
 * The platform on hosts of a planet: `godwit host run` on each. Keeps nothing in memory: a host's files are on
 * its own disk, and any process may open what another one founded.
 */
export class PlanetPlatform {
  readonly world: World

  constructor(world: World) {
    this.world = world
  }

  /** Whether a host has its files. */
  isFounded(host: string): boolean {
    return existsSync(this.#disk(host, 'host.toml'))
  }

  /** How machines of a founded host run. */
  runtimeOf(host: string): 'runc' | 'qemu' {
    return loadHostConfig(this.#disk(host, 'host.toml')).worker.runtime ?? 'runc'
  }

  /** What an operator keeps of the cluster: the folder of `godwit host found`. */
  get clusterFolder(): string {
    return this.world.operatorPath('cluster')
  }

  /** Writes the files of a new cluster to the hosts' disks. What had files already is another cluster's. */
  async found({
    hosts,
    settings = { worker: SMALL_SERVER },
    places = {},
  }: FoundBoxOptions): Promise<void> {
    const planned = hosts.map(({ name, roles }): PlannedHost => {
      const { ipv4, region } = this.world.node(name).plan
      const place = places[region] ?? { name: '', latitude: 0, longitude: 0 }
      const names = ['localhost', '127.0.0.1']
      return {
        host: name,
        region: { code: region, ...place },
        address: ipv4,
        roles,
        settings,
        names,
      }
    })
    rmSync(this.clusterFolder, { recursive: true, force: true })
    await foundHosts(planned, this.clusterFolder)
    for (const { host } of planned) this.#install(host)
  }

  /** Starts a host's parts, unless they run. */
  async startHost(host: string): Promise<void> {
    const runs = this.world.commands(host).some(({ name }) => name === COMMAND)
    if (!runs) await this.world.start(host, COMMAND, [GODWIT, 'host', 'run'])
  }

  /**
   * Resolves when all parts of a host are ready and the cluster knows all that it has.
   *
   * @throws BoxError box.not_ready, with what was seen last; the signal's reason
   */
  async hostReady(host: string, signal?: AbortSignal): Promise<void> {
    const look = async () => {
      const parts = await this.parts(host)
      const isReady = parts.length > 0 && parts.every(({ state }) => state === 'ready')
      return isReady && (await this.flyd(host))?.rows.inStep === true
    }
    const options = { deadlineMs: READY_MS, intervalMs: POLL_MS, signal }
    try {
      await pollUntil(`the parts of ${host}`, look, options)
    } catch (cause) {
      signal?.throwIfAborted()
      const parts = await this.parts(host)
      throw new BoxError('box.not_ready', {
        what: 'the parts of a host did not become ready',
        values: { host, parts: parts.map(({ name, state }) => `${name} ${state}`).join(', ') },
        fix: `read what they printed: ${this.#disk(host, 'logs')}`,
        cause,
      })
    }
  }

  /** None while no supervisor answers. */
  async parts(host: string): Promise<PartStatus[]> {
    try {
      return await hostStatus(this.#socket(host))
    } catch (error) {
      if (errorCode(error) === 'host.away') return []
      throw error
    }
  }

  /** Undefined while flyd does not answer. */
  async flyd(host: string): Promise<FlydSeen | undefined> {
    try {
      const socket = this.world.node(host).runPath('flyd.sock')
      return (await askFlyd(socket, 'GET', '/status')) as FlydSeen
    } catch (error) {
      if (errorCode(error) === 'flyd.host_unreached') return undefined
      throw error
    }
  }

  /** Of a host's API, inside the planet. */
  apiUrl(host: string): string {
    return gatewayUrl(this.world.node(host).plan.ipv4)
  }

  /** The CA that a host's API is known by. */
  caFile = (host: string): string => this.#disk(host, 'secrets', 'ca.pem')

  /** Where the supervisor of a host listens, as this process sees it. */
  socketOf = (host: string): string => this.#socket(host)

  #socket(host: string): string {
    return this.world.node(host).runPath('host.sock')
  }

  #disk(host: string, ...rest: string[]): string {
    return this.world.node(host).diskPath(...rest)
  }

  #install(host: string): void {
    const copy = (name: string) =>
      cpSync(join(this.clusterFolder, host, name), this.#disk(host, name), { recursive: true })
    copy('secrets')
    copy('host.toml') // the last: then it is founded
  }
}
