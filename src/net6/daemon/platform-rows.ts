import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, errorCode, type Log, writeDurably } from '#base'
import { type Following, followQueries, type JsonCell, type JsonCells } from '#corrosion'
import type { HostClaim } from '../allocation.ts'
import { type KnownGateway, writeKnownGateways } from '../gateway/known-gateways.ts'
import { isPublicKey } from '../gateway/peer-rows.ts'
import type { HostRow } from '../mesh/host-rows.ts'
import { KnownHosts } from '../mesh/known-hosts.ts'
import { parseMeshPrefix } from '../six-pn-address.ts'
import type { FollowedHostRow } from './own-row.ts'

export interface PlatformRowsOptions {
  readonly hostId: string
  readonly url: string
  readonly bearerToken?: string
  /** Keeps the hosts that were last known. */
  readonly folder: string
  readonly clock: Clock
  readonly log: Log
}

const HOSTS_SQL =
  'SELECT id, six_pn_prefix, mesh_public_key, mesh_endpoint, backhaul_ip, is_gateway FROM hosts'
const PEER_GATEWAYS_SQL = 'SELECT host_id, public_key, endpoint FROM wireguard_gateways'
const FLYCAST_SQL = "SELECT address, app_id FROM ips WHERE kind = 'private_v6'"

/**
 * What the network needs of the rows, followed. Without corrosion it has what a former process knew: hosts are
 * remembered in a file.
 */
export class PlatformRows implements AsyncDisposable {
  /** Grows with each change. */
  version = 0
  readonly #options: PlatformRowsOptions
  readonly #known: KnownHosts
  /** As they are in the replica now. */
  readonly #present = new Map<string, FollowedHostRow>()
  readonly #flycast = new Map<string, string>()
  /** Where gateways are on the mesh, by host. */
  readonly #gateways = new Map<string, string>()
  /** For people's devices, by host. */
  readonly #peerGateways = new Map<string, KnownGateway>()
  /** From this host, by the other one. */
  readonly #rttUs = new Map<string, number>()
  readonly #following: Following
  #wasComplete = false
  #kept: string
  #keptGateways = ''
  #wake: (() => void) | undefined

  private constructor(options: PlatformRowsOptions, remembered: readonly HostRow[]) {
    this.#options = options
    this.#known = new KnownHosts(remembered)
    this.#kept = JSON.stringify(remembered)
    const { url, bearerToken, log } = options
    const token = bearerToken === undefined ? {} : { bearerToken }
    this.#following = followQueries({
      ...{ url, ...token, log },
      queries: [
        { sql: HOSTS_SQL, keyColumns: 1, onRow: (id, cells) => this.#host(id, cells) },
        { sql: linksSql(options.hostId), keyColumns: 1, onRow: (_key, cells) => this.#link(cells) },
        {
          ...{ sql: PEER_GATEWAYS_SQL, keyColumns: 1 },
          onRow: (id, cells) => this.#peerGateway(id, cells),
        },
        { sql: FLYCAST_SQL, keyColumns: 2, onRow: (key, cells) => this.#address(key, cells) },
      ],
    })
  }

  static async open(options: PlatformRowsOptions): Promise<PlatformRows> {
    return new PlatformRows(options, await readRemembered(pathOf(options.folder)))
  }

  /** All rows were read at least once by this process. */
  get isComplete(): boolean {
    return this.#following.isComplete
  }

  get isConnected(): boolean {
    return this.#following.isConnected
  }

  /** This host's own row, as the replica has it. */
  get own(): FollowedHostRow | undefined {
    return this.#present.get(this.#options.hostId)
  }

  /** Addresses of apps inside networks, of all organisations. */
  get flycast(): string[] {
    return [...new Set(this.#flycast.values())].sort()
  }

  /** Where the gateways of the API are on the mesh: this host itself, if it is one, then the nearest. */
  get gateways(): string[] {
    const { hostId } = this.#options
    const distance = (id: string) => (id === hostId ? -1 : (this.#rttUs.get(id) ?? Infinity))
    return [...this.#gateways]
      .sort(([a], [b]) =>
        distance(a) === distance(b) ? (a < b ? -1 : 1) : distance(a) - distance(b),
      )
      .map(([, address]) => address)
  }

  /** Keys of the hosts that count now, on the mesh. */
  get hostKeys(): string[] {
    return this.hosts()
      .map((row) => row.mesh_public_key)
      .filter(isPublicKey)
      .sort()
  }

  /** Numbers that hosts have, as far as their rows make sense. */
  get claims(): HostClaim[] {
    return [...this.#present.values()].flatMap((row) => claimOf(row) ?? [])
  }

  /** All hosts that count now. */
  hosts(): HostRow[] {
    const { clock } = this.#options
    if (this.isComplete && !this.#wasComplete) {
      this.#wasComplete = true
      this.#known.complete(new Set(this.#present.keys()), clock.nowMs())
    }
    return this.#known.rows(clock.nowMs())
  }

  /** Remembers the hosts for the next process, and gateways for `godwit doctor network`. */
  async keep(): Promise<void> {
    const { folder } = this.#options
    const text = JSON.stringify(this.hosts())
    if (text !== this.#kept) {
      await writeDurably(pathOf(folder), `${text}\n`)
      this.#kept = text
    }
    const gateways = [...this.#peerGateways.values()].sort((a, b) => (a.hostId < b.hostId ? -1 : 1))
    if (!this.isComplete || JSON.stringify(gateways) === this.#keptGateways) return
    await writeKnownGateways(folder, gateways)
    this.#keptGateways = JSON.stringify(gateways)
  }

  /** Until a row changes, or `ms` have passed, or the signal aborts. */
  async changed(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const done = () => resolve()
    const timer = this.#options.clock.setTimer(done, ms)
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
    this.#wake = done
    try {
      await promise
    } finally {
      this.#wake = undefined
      signal.removeEventListener('abort', done)
      timer[Symbol.dispose]()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#following[Symbol.asyncDispose]()
  }

  #host(id: string, cells: JsonCells | undefined): void {
    if (cells === undefined) {
      this.#present.delete(id)
      this.#gateways.delete(id)
      this.#known.gone(id, this.#options.clock.nowMs())
    } else {
      const [, prefix = '', key = '', endpoint = '', backhaulIp = ''] = cells.map(text)
      const keyAndPlace = { mesh_public_key: key, mesh_endpoint: endpoint }
      const row = { id, six_pn_prefix: prefix, ...keyAndPlace }
      this.#present.set(id, { ...row, backhaul_ip: backhaulIp })
      this.#known.set(row)
      if (cells[5] === 1 && backhaulIp !== '') this.#gateways.set(id, backhaulIp)
      else this.#gateways.delete(id)
    }
    this.#hasChanged()
  }

  #peerGateway(id: string, cells: JsonCells | undefined): void {
    if (cells === undefined) this.#peerGateways.delete(id)
    else {
      const [hostId = '', publicKey = '', endpoint = ''] = cells.map(text)
      this.#peerGateways.set(id, { hostId, publicKey, endpoint })
    }
    this.#hasChanged()
  }

  /** A link that is gone keeps its length: it only orders. */
  #link(cells: JsonCells | undefined): void {
    const [peerId, rttUs] = cells ?? []
    if (typeof peerId !== 'string') return
    if (typeof rttUs === 'number') this.#rttUs.set(peerId, rttUs)
    else this.#rttUs.delete(peerId)
  }

  #address(key: string, cells: JsonCells | undefined): void {
    if (cells === undefined) this.#flycast.delete(key)
    else this.#flycast.set(key, text(cells[0]))
    this.#hasChanged()
  }

  #hasChanged(): void {
    this.version += 1
    this.#wake?.()
  }
}

/** A host's id is letters, digits, `_` and `-`: the configuration has checked it. */
const linksSql = (hostId: string) =>
  `SELECT peer_id, rtt_us FROM host_links WHERE host_id = '${hostId}'`

const pathOf = (folder: string) => join(folder, 'hosts.json')

/** What other hosts wrote: a cell of another type is empty. */
const text = (cell: JsonCell | undefined): string => (typeof cell === 'string' ? cell : '')

function claimOf({ id, six_pn_prefix: prefix }: HostRow): HostClaim | undefined {
  try {
    return { hostId: id, host: parseMeshPrefix(prefix).host }
  } catch {
    return undefined // it has none yet, or a row that is reported elsewhere
  }
}

/** A file that cannot be read costs nothing but the start without corrosion. */
async function readRemembered(path: string): Promise<HostRow[]> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as HostRow[]
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || error instanceof SyntaxError) return []
    throw error
  }
}
