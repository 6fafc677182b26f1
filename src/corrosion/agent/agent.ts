import type { Server } from 'node:http'
import { createLog, followFiles, type Log, systemClock, systemRandom } from '#base'
import { authoritiesIn } from '#trust'
import type { ApiHost, HealthReport } from '../api/api-host.ts'
import { ApiServer } from '../api/api-server.ts'
import { QueryProcesses } from '../api/query-processes.ts'
import { HybridClock } from '../changes/hybrid-clock.ts'
import { needCount } from '../gossip/compute-needs.ts'
import type { MigrationStep } from '../schema/plan-migration.ts'
import { ReadPool } from '../store/read-pool.ts'
import type { Committed } from '../store/store.ts'
import { Store } from '../store/store.ts'
import { Subscriptions } from '../subscriptions/subscriptions.ts'
import { openQuicTransport, type RenewableTransport } from '../transport/quic-transport.ts'
import type { Transport, TransportHandlers } from '../transport/transport.ts'
import { parseSocketAddress } from '../wire/socket-address.ts'
import { AdminServer } from './admin-server.ts'
import { type AgentConfig, readSchemaFiles, readTls, tlsPaths } from './agent-config.ts'
import type { AgentView } from './agent-view.ts'
import { ClusterNode } from './cluster-node.ts'
import { SyncError } from './errors.ts'
import { agentMetrics, serveMetrics } from './metrics.ts'
import { loadMembers, saveMembers } from './saved-members.ts'

const SAVE_MEMBERS_MS = 60_000
const MAINTAIN_MS = 30_000
const FREE_PAGES_MAX = 10_000
const VACUUM_PAGES = 1_000

/**
 * An agent: one node of the cluster with its API, its admin socket and its metrics, in this process. Also for
 * daemons that embed it: `store`, `transaction` and `subscriptions` are the in-process API.
 */
export class Agent implements ApiHost, AgentView {
  readonly store: Store
  readonly readers: ReadPool
  readonly queryProcesses: QueryProcesses
  readonly subscriptions: Subscriptions
  readonly log: Log
  readonly config: AgentConfig
  readonly #hlc = new HybridClock(systemClock)
  readonly #timers: NodeJS.Timeout[] = []
  #tlsFiles: Disposable | undefined
  #node: ClusterNode | undefined
  #api: ApiServer | undefined
  #admin: AdminServer | undefined
  #metrics: Server | undefined
  #stopped: Promise<void> | undefined

  private constructor(config: AgentConfig, log: Log) {
    this.config = config
    this.log = log
    const { path, cache_size_kib: cacheKib, synchronous } = config.db
    this.store = new Store({ path, cacheKib, synchronous, now: () => this.#hlc.now() })
    this.readers = new ReadPool({ path, cacheKib: Math.ceil(cacheKib / 8) })
    this.queryProcesses = new QueryProcesses(path)
    this.subscriptions = new Subscriptions(this.store, systemClock)
  }

  /**
   * Starts an agent. A schema that cannot be applied is logged; the agent goes on with the one it has.
   * @param fatal called when the database cannot be written any more: end the process
   * @throws BaseError, CorrosionError, TransportError, and what the system says of files and ports
   */
  static async start(config: AgentConfig, fatal: (error: unknown) => void): Promise<Agent> {
    const log = createLog({
      part: 'corrosion',
      ...(config.log?.format === undefined ? {} : { format: config.log.format }),
      ...(config.log?.level === undefined ? {} : { level: config.log.level }),
    })
    const agent = new Agent(config, log)
    try {
      await agent.#open(fatal)
      return agent
    } catch (error) {
      await agent.stop()
      throw error
    }
  }

  get actor() {
    return this.store.actor
  }

  get node(): ClusterNode {
    return this.#node as ClusterNode
  }

  /** Where the API listens. */
  get apiPort(): number {
    return (this.#api as ApiServer).port
  }

  /** Runs `work` as one transaction; subscribers and peers hear of it within milliseconds. */
  transaction<T>(work: () => T): Committed<T> {
    return this.node.transaction(work)
  }

  health(): HealthReport {
    const { node, store } = this
    return {
      gaps: needCount(store.syncState()),
      members: node.members.size,
      p99Lag: node.lag.quantile(0.99, systemClock.monotonicMs()),
      queueSize: node.inboxLength,
    }
  }

  /** Applies the schema files again. @throws SchemaError; the schema is as before then. */
  reloadSchema(): MigrationStep[] {
    const steps = this.store.migrate(readSchemaFiles(this.config.db.schema_paths))
    this.node.schemaChanged()
    return steps
  }

  saveMembers(): void {
    const { node, store } = this
    const rttMs = (address: string) => node.transport.rttMs(address)
    saveMembers(store.database, node.membership.swim.snapshot(), rttMs, Date.now())
  }

  /** Says goodbye to the cluster, ends all streams, closes the database. May be called twice. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #open(fatal: (error: unknown) => void): Promise<void> {
    const { config, log, store } = this
    this.#applySchemaFiles()
    const { gossip, api, telemetry } = config
    this.#node = await ClusterNode.start(
      {
        store,
        clusterId: this.#clusterId(),
        clock: systemClock,
        hlc: this.#hlc,
        random: systemRandom,
        log,
        bootstrap: gossip.bootstrap,
        members: loadMembers(store.database),
        touched: (rows) => this.subscriptions.committed(rows),
        fatal,
      },
      (handlers) => this.#openTransport(handlers),
    )
    const token = api.authorization?.['bearer-token']
    this.#api = await ApiServer.listen(
      this,
      {
        ...hostAndPort(api.bind_addr),
        ...(token === undefined ? {} : { bearerToken: token }),
        ...(api.endpoint_name === undefined ? {} : { endpointName: api.endpoint_name }),
      },
      log,
    )
    this.#admin = await AdminServer.listen(this, config.admin.uds_path, log)
    if (telemetry !== undefined) {
      const { host, port } = hostAndPort(telemetry.prometheus.bind_addr)
      this.#metrics = await serveMetrics(agentMetrics(this), host, port)
    }
    this.#every(SAVE_MEMBERS_MS, () => this.saveMembers())
    this.#every(MAINTAIN_MS, () => this.#maintain())
    log.info({ actor: this.actor, gossip: this.node.transport.address }, 'agent started')
  }

  #applySchemaFiles(): void {
    try {
      this.store.migrate(readSchemaFiles(this.config.db.schema_paths))
    } catch (error) {
      this.log.error({ err: error }, 'the schema files were refused; the schema is as it was')
    }
  }

  async #openTransport(handlers: TransportHandlers): Promise<Transport> {
    const { bind_addr, external_addr, tls } = this.config.gossip
    let transport: RenewableTransport | undefined
    // From before they are read: none that is put there meanwhile is missed.
    this.#tlsFiles = followFiles({
      paths: tlsPaths(tls),
      changed: () => this.#renewTls(transport),
      log: this.log,
    })
    transport = await openQuicTransport({
      listen: bind_addr,
      ...(external_addr === undefined ? {} : { advertise: external_addr }),
      tls: readTls(tls),
      handlers,
    })
    return transport
  }

  /** @throws TransportError transport.certificate_bad, SyncError, and what reading says; all goes on as before then. */
  #renewTls(transport: RenewableTransport | undefined): void {
    if (transport === undefined) {
      throw new SyncError('sync.agent_away', { what: 'the agent is being started' })
    }
    const tls = readTls(this.config.gossip.tls)
    transport.renewTls(tls)
    const trusted = authoritiesIn(tls.caPem).map(
      ({ fingerprint, notAfterMs }) => `${fingerprint} until ${new Date(notAfterMs).toISOString()}`,
    )
    this.log.info({ trusted }, 'the TLS files have changed; peers of these authorities are trusted')
  }

  /** What `cluster set-id` has set counts more than the file. */
  #clusterId(): number {
    const row = this.store.database
      .prepare(`SELECT value FROM __corro_state WHERE key = 'cluster_id'`)
      .get()
    return (row?.['value'] as number | undefined) ?? this.config.gossip.cluster_id
  }

  /** Gives free pages back, and what the log no longer needs. */
  #maintain(): void {
    const { database } = this.store
    this.store.compact(5_000)
    const free = database.prepare('PRAGMA freelist_count').get()?.['freelist_count'] as number
    if (free > FREE_PAGES_MAX) database.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`)
  }

  #every(periodMs: number, work: () => void): void {
    const timer = setInterval(() => {
      try {
        work()
      } catch (error) {
        this.log.error({ err: error }, 'upkeep failed; it is tried again')
      }
    }, periodMs)
    timer.unref()
    this.#timers.push(timer)
  }

  async #stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    this.#tlsFiles?.[Symbol.dispose]()
    await this.#admin?.close()
    await this.#api?.close()
    this.#metrics?.close()
    this.#metrics?.closeAllConnections()
    if (this.#node !== undefined) {
      this.saveMembers()
      await this.#node.stop()
    }
    this.subscriptions[Symbol.dispose]()
    this.readers[Symbol.dispose]()
    this.queryProcesses[Symbol.dispose]()
    this.store.close()
  }
}

function hostAndPort(text: string): { host: string; port: number } {
  const isAnyPort = text.endsWith(':0')
  const parsed = parseSocketAddress(isAnyPort ? text.replace(/0$/, '1') : text)
  if (parsed !== undefined) return { host: parsed.host, port: isAnyPort ? 0 : parsed.port }
  throw new SyncError('sync.address_bad', {
    what: 'this is no address to listen on',
    values: { address: text },
    fix: 'give an IP address and a port: 127.0.0.1:8080',
  })
}
