import { type Backoff, backoffMs, type Clock, type Log, type Random, startDeadline } from '#base'
import { type ApiClient, type Following, followQueries, type JsonCells } from '#corrosion'
import type { PeerGateway } from '../gateway/peer-gateway.ts'
import type { PeerRow } from '../gateway/peer-rows.ts'
import { LinkNews } from './link-news.ts'

export interface GatewayUpkeepOptions {
  readonly hostId: string
  readonly region: string
  /** `ip:port`, where people's devices find it. */
  readonly endpoint: string
  /** This host's field in addresses. */
  readonly host: number
  readonly gateway: PeerGateway
  /** Keys of all hosts on the mesh. */
  readonly hostKeys: () => readonly string[]
  readonly agent: { readonly url: string; readonly bearerToken?: string }
  readonly client: ApiClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** What nobody announced, such as a device that died, is found so often. */
const LOOK_MS = 2_000
/** Handshakes are told so often. */
const LINKS_MS = 10_000
const WRITE_MS_MAX = 10_000
const BACKOFF: Backoff = { baseMs: 200, capMs: 10_000 }

/** Keeps the peers of this gateway as rows say, and rows as this gateway is. Without corrosion all stays as it is. */
export class GatewayUpkeep implements AsyncDisposable {
  readonly #options: GatewayUpkeepOptions
  readonly #stopping = new AbortController()
  readonly #following: Following
  readonly #peers = new Map<string, PeerRow>()
  readonly #loop: Promise<void>
  readonly #news = new LinkNews()
  /** What the row of this gateway says, as the replica has it. */
  #own: string | undefined
  #hostKeys = ''
  #isStale = true
  #linksAtMs = Number.NEGATIVE_INFINITY
  #wake: (() => void) | undefined

  constructor(options: GatewayUpkeepOptions) {
    this.#options = options
    const { agent, log, hostId } = options
    this.#following = followQueries({
      ...{ ...agent, log },
      queries: [
        { sql: peersSql(hostId), keyColumns: 1, onRow: (key, cells) => this.#peer(key, cells) },
        {
          ...{ sql: ownSql(hostId), keyColumns: 1 },
          onRow: (_key, cells) => {
            this.#own = cells && JSON.stringify(cells)
            this.#wake?.()
          },
        },
      ],
    })
    this.#loop = this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the daemon of the network ends'))
    this.#wake?.()
    await this.#following[Symbol.asyncDispose]()
    await this.#loop
  }

  #peer(publicKey: string, cells: JsonCells | undefined): void {
    if (cells === undefined) this.#peers.delete(publicKey)
    else {
      const [key, network, address, created] = cells
      this.#peers.set(publicKey, {
        public_key: String(key),
        network_id: Number(network),
        peer_ip: String(address),
        created_at: Number(created),
      })
    }
    this.#isStale = true
    this.#wake?.()
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { clock, random, log } = this.#options
    const { signal } = this.#stopping
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.#look(signal)
        failures = 0
        await this.#pause()
      } catch (err) {
        if (signal.aborted) return
        if (failures === 0) log.warn({ err }, 'the peers are not in step with the rows')
        this.#isStale = true
        await clock.sleep(backoffMs(failures, BACKOFF, random), signal).catch(() => undefined)
        failures += 1
      }
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { gateway, clock } = this.#options
    if (!this.#following.isComplete) return
    const links = await gateway.links(signal)
    const hostKeys = this.#options.hostKeys()
    if (this.#isStale || links === undefined || this.#hostKeys !== hostKeys.join()) {
      this.#isStale = false
      this.#hostKeys = hostKeys.join()
      await gateway.setPeers([...this.#peers.values()], hostKeys, signal)
    }
    const nowMs = clock.monotonicMs()
    const statements: Statement[] = [...this.#ownStatements()]
    if (links !== undefined && nowMs - this.#linksAtMs >= LINKS_MS) {
      const news = this.#news.of(links.peers.filter(isOfPerson))
      statements.push(...news.changed.map((peer) => this.#linkStatement(peer)))
      statements.push(
        ...news.gone.map((key) => [DELETE_LINK, [key, this.#options.hostId]] as const),
      )
      this.#linksAtMs = nowMs
    }
    await this.#write(statements, signal)
  }

  *#ownStatements() {
    const { hostId, region, endpoint, host, gateway } = this.#options
    const values = [hostId, region, gateway.publicKey, endpoint, host]
    if (this.#own !== JSON.stringify(values.slice(1))) yield [UPSERT_OWN, values] as const
  }

  #linkStatement({ publicKey, endpoint = '', handshakeMs, receivedBytes, sentBytes }: LinkPeer) {
    const { hostId } = this.#options
    return [
      UPSERT_LINK,
      [publicKey, hostId, endpoint, handshakeMs, receivedBytes, sentBytes],
    ] as const
  }

  async #write(statements: readonly Statement[], signal: AbortSignal): Promise<void> {
    const { clock, client } = this.#options
    if (statements.length === 0) return
    using deadline = startDeadline('writing rows of the gateway', WRITE_MS_MAX, { signal, clock })
    try {
      await client.transaction(statements, { signal: deadline.signal })
    } catch (error) {
      this.#news.forget()
      throw error
    }
  }

  /** Until a row changes, or it is time to look. */
  async #pause(): Promise<void> {
    const canWork = this.#isStale && this.#following.isComplete
    if (canWork || this.#stopping.signal.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = this.#options.clock.setTimer(resolve, LOOK_MS)
    this.#wake = resolve
    try {
      await promise
    } finally {
      timer[Symbol.dispose]()
      this.#wake = undefined
    }
  }
}

type Statement = readonly [sql: string, values: readonly (string | number)[]]

type LinkPeer = ReturnType<LinkNews['of']>['changed'][number]

/** Not of a host that tries whether the gateway answers. */
const isOfPerson = ({ allowedIps }: LinkPeer) => allowedIps.length > 0

/** A host's id is letters, digits, `_` and `-`: the configuration has checked it. */
const peersSql = (hostId: string) =>
  `SELECT public_key, network_id, peer_ip, created_at FROM wireguard_peers WHERE gateway = '${hostId}'`
const ownSql = (hostId: string) =>
  `SELECT host_id, region, public_key, endpoint, address_field FROM wireguard_gateways WHERE host_id = '${hostId}'`

const UPSERT_OWN = `
INSERT INTO wireguard_gateways (host_id, region, public_key, endpoint, address_field) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (host_id) DO UPDATE SET region = excluded.region, public_key = excluded.public_key,
  endpoint = excluded.endpoint, address_field = excluded.address_field`
const UPSERT_LINK = `
INSERT INTO wireguard_links (public_key, host_id, endpoint, handshake_at, received_bytes, sent_bytes)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (public_key, host_id) DO UPDATE SET endpoint = excluded.endpoint, handshake_at = excluded.handshake_at,
  received_bytes = excluded.received_bytes, sent_bytes = excluded.sent_bytes`
const DELETE_LINK = 'DELETE FROM wireguard_links WHERE public_key = ? AND host_id = ?'
