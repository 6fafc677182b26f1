import type { Clock, Log, Random } from '#base'
import type { ActorId } from '../changes/actor-id.ts'
import type { Changeset } from '../changes/changeset.ts'
import { type HybridClock, ntp64Ms } from '../changes/hybrid-clock.ts'
import { Broadcaster, type SendAction } from '../gossip/broadcaster.ts'
import { type Arrival, Inbox } from '../gossip/inbox.ts'
import type { SyncPeer } from '../gossip/sync-schedule.ts'
import type { Identity, Rumour } from '../membership/member.ts'
import type { TouchedRow } from '../store/local-versions.ts'
import type { Committed, Store } from '../store/store.ts'
import type { BiSession, Transport, TransportHandlers } from '../transport/transport.ts'
import { decodeBroadcast, encodeBroadcast } from '../wire/broadcast.ts'
import { LagMeter } from './lag-meter.ts'
import { newNodeCounters } from './node-counters.ts'
import { SwimShell } from './swim-shell.ts'
import { SyncRounds } from './sync-rounds.ts'
import { serveSync } from './sync-sessions.ts'

export interface ClusterNodeInit {
  readonly store: Store
  readonly clusterId: number
  readonly clock: Clock
  readonly hlc: HybridClock
  readonly random: Random
  readonly log: Log
  readonly bootstrap: readonly string[]
  readonly members?: readonly Rumour[]
  /** Rows were written, here or elsewhere, and are visible now. */
  readonly touched: (rows: readonly TouchedRow[]) => void
  /** The database cannot be written any more: the process should end. */
  readonly fatal: (error: unknown) => void
}

/** What commits within this time is settled and told together. */
const SETTLE_MS = 1
/** What arrives within this time is applied together. */
const APPLY_MS = 2
/** Changes applied in one transaction: bounds how long other work waits. */
const APPLY_COST = 2_000
const CHUNK_BYTES = 8_192
const SERVES_MAX = 3
const RTT_SAMPLE_MS = 1_000

/**
 * One node of the cluster: its store, and all that brings others' changes here and own ones there. Sockets are
 * the transport's, time the clock's, so that whole clusters of it run in the simulator.
 */
export class ClusterNode {
  readonly counters = newNodeCounters()
  readonly lag = new LagMeter()
  /** Seconds from commit to here of the last change of each actor that came by broadcast. */
  readonly lagByActor = new Map<ActorId, number>()
  readonly #init: ClusterNodeInit
  readonly #transport: Transport
  readonly #broadcaster: Broadcaster
  readonly #inbox = new Inbox()
  readonly #sync: SyncRounds
  readonly #membership: SwimShell
  readonly #members = new Map<string, Identity>()
  readonly #timers = new Map<string, Disposable>()
  #serving = 0
  #applySeconds = 0
  #isStopped = false

  /** `open` makes the transport with the handlers it is given. */
  static async start(
    init: ClusterNodeInit,
    open: (handlers: TransportHandlers) => Transport | Promise<Transport>,
  ): Promise<ClusterNode> {
    let node: ClusterNode | undefined
    const transport = await open({
      datagramReceived: (bytes) => node?.membership.receive(bytes),
      frameReceived: (payload, from) => node?.frameReceived(payload, from),
      sessionOpened: (session) => {
        if (node === undefined) session.reset()
        else node.sessionOpened(session)
      },
    })
    node = new ClusterNode(init, transport)
    return node
  }

  private constructor(init: ClusterNodeInit, transport: Transport) {
    this.#init = init
    this.#transport = transport
    const { clock, random, store } = init
    this.#broadcaster = new Broadcaster(random)
    this.#sync = new SyncRounds({
      context: this.#syncContext,
      transport,
      random,
      log: init.log,
      counters: this.counters,
      peers: () => this.#syncPeers(),
      apply: (changesets) => this.#apply(changesets.map((changeset) => ({ changeset }))),
    })
    this.#membership = new SwimShell({
      self: { id: store.actor, address: transport.address, renewedAt: clock.nowMs() },
      clusterId: init.clusterId,
      clock,
      random,
      log: init.log,
      transport,
      bootstrap: init.bootstrap,
      ...(init.members === undefined ? {} : { members: init.members }),
      handlers: {
        memberUp: (identity) => this.#memberUp(identity),
        memberDown: (identity) => this.#memberDown(identity),
      },
    })
    this.#sync.start()
    this.#after('rtt', RTT_SAMPLE_MS, () => this.#sampleRtt())
  }

  get membership(): SwimShell {
    return this.#membership
  }

  get transport(): Transport {
    return this.#transport
  }

  /** Members that are up, without this node. */
  get members(): ReadonlyMap<string, Identity> {
    return this.#members
  }

  get clusterId(): number {
    return this.#init.clusterId
  }

  /** Seconds spent applying changes of others. */
  get applySeconds(): number {
    return this.#applySeconds
  }

  /** Changes that were refused may fit now: ask for them soon. */
  schemaChanged(): void {
    this.settle()
    this.#sync.wake()
  }

  get inboxLength(): number {
    return this.#inbox.length
  }

  get broadcastQueueLength(): number {
    return this.#broadcaster.queueLength
  }

  ringOf(id: string): number | undefined {
    return this.#broadcaster.ringOf(id)
  }

  /** As Store.transaction; others are told soon after. */
  transaction<T>(work: () => T): Committed<T> {
    const committed = this.#init.store.transaction(work)
    if (committed.version !== null) this.#after('settle', SETTLE_MS, () => this.settle())
    return committed
  }

  /** Tells subscribers and peers what has been committed. Comes by itself soon after a commit. */
  settle(): void {
    const { store, clusterId, touched } = this.#init
    const settled = store.settle()
    if (settled.touched.length > 0) touched(settled.touched)
    if (this.#broadcaster.peerCount === 0) return
    for (const { version } of settled.versions) {
      for (const changeset of store.ownChangesets(version, CHUNK_BYTES)) {
        const frame = encodeBroadcast(changeset, clusterId)
        this.#send(this.#broadcaster.spreadOwn(frame, this.#init.clock.monotonicMs()))
      }
    }
    this.#resendLater()
  }

  frameReceived(payload: Uint8Array, from: string): void {
    if (this.#isStopped) return
    const { store, clusterId, log } = this.#init
    let changeset: Changeset | null
    try {
      const broadcast = decodeBroadcast(payload)
      if (broadcast.clusterId !== clusterId) {
        this.counters.framesOfOtherClusters += 1
        return
      }
      changeset = broadcast.changeset
    } catch (error) {
      this.counters.framesMalformed += 1
      log.warn({ err: error, from }, 'a broadcast that cannot be read')
      return
    }
    if (changeset === null) return
    this.counters.broadcastsReceived += 1
    if (store.knows(changeset)) {
      this.counters.broadcastsKnown += 1
      return
    }
    const droppedBefore = this.#inbox.droppedCount
    const isNew = this.#inbox.offer({ changeset, broadcast: { from, frame: framed(payload) } })
    if (!isNew) this.counters.broadcastsKnown += 1
    if (this.#inbox.droppedCount > droppedBefore) this.#sync.wake()
    this.#after('apply', APPLY_MS, () => this.#applySome())
  }

  sessionOpened(session: BiSession): void {
    const isBusy = this.#serving >= SERVES_MAX
    this.#serving += 1
    void serveSync(session, this.#syncContext, isBusy, (changesets, bytes) => {
      this.counters.syncChangesetsSent += changesets
      this.counters.syncBytesSent += bytes
    })
      .catch((error) => {
        this.counters.syncServesFailed += 1
        this.#init.log.debug({ err: error, peer: session.peer }, 'serving a sync ended early')
        session.reset()
      })
      .finally(() => {
        this.#serving -= 1
      })
  }

  /** Says goodbye and closes the transport; the store stays open. */
  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.settle()
    this.#membership.leave()
    this.#isStopped = true
    this.#sync.stop()
    for (const timer of this.#timers.values()) timer[Symbol.dispose]()
    this.#timers.clear()
    await this.#transport.close()
  }

  get #syncContext() {
    const { store, clusterId, hlc, clock } = this.#init
    return { replica: store, clusterId, hlc, clock }
  }

  #syncPeers(): SyncPeer[] {
    return [...this.#members.values()].map(({ id, address }) => {
      return { id, address, ring: this.#broadcaster.ringOf(id) }
    })
  }

  #memberUp(identity: Identity): void {
    this.#members.set(identity.id, identity)
    this.#broadcaster.peerUp(identity.id, identity.address)
    this.#sync.wake()
  }

  #memberDown({ id }: Identity): void {
    this.#members.delete(id)
    this.#broadcaster.peerDown(id)
    this.#sync.forget(id)
  }

  #applySome(): void {
    const batch = this.#inbox.take(APPLY_COST)
    if (batch.length > 0) this.#apply(batch)
    if (this.#inbox.length > 0) this.#after('apply', 0, () => this.#applySome())
  }

  #apply(arrivals: readonly Arrival[]): void {
    const { store, log, clock } = this.#init
    let outcomes: ReturnType<Store['apply']>
    const startMs = clock.monotonicMs()
    try {
      outcomes = store.apply(arrivals.map(({ changeset }) => changeset))
    } catch (error) {
      this.#init.fatal(error)
      return
    }
    const nowMs = clock.monotonicMs()
    this.#applySeconds += (nowMs - startMs) / 1_000
    for (const [at, outcome] of outcomes.entries()) {
      const { changeset, broadcast } = arrivals[at] as Arrival
      this.counters[outcome.kind] += 1
      if (outcome.kind === 'refused') {
        const { actor } = changeset
        log.warn({ err: outcome.error, actor }, 'a change was refused; it stays a gap')
      }
      if (outcome.kind !== 'applied' && outcome.kind !== 'buffered') continue
      if (broadcast === undefined) continue
      this.#noteTime(changeset, nowMs)
      const { frame, from } = broadcast
      this.#send(this.#broadcaster.passOn(frame, from, changeset.actor, nowMs))
    }
    this.settle()
    if (outcomes.some(({ kind }) => kind === 'refused')) this.#sync.wake()
    else if (store.syncState().need.size > 0) this.#sync.wake()
  }

  #noteTime(changeset: Changeset, nowMs: number): void {
    const { hlc, clock } = this.#init
    const { ts } = changeset
    if (ts === null || ts === 0n) return
    if (!hlc.observe(ts)) this.counters.clockDrifts += 1
    const seconds = Math.max(0, clock.nowMs() - ntp64Ms(ts)) / 1_000
    this.lag.add(seconds, nowMs)
    this.lagByActor.set(changeset.actor, seconds)
  }

  #send(actions: readonly SendAction[]): void {
    for (const { to, frame } of actions) {
      if (this.#transport.sendUni(to, frame)) this.counters.broadcastsSent += 1
      else this.counters.broadcastsDropped += 1
    }
  }

  #resendLater(): void {
    const { wakeAtMs } = this.#broadcaster
    if (wakeAtMs === Infinity) return
    const { clock } = this.#init
    this.#after('resend', wakeAtMs - clock.monotonicMs(), () => {
      this.#send(this.#broadcaster.tick(clock.monotonicMs()))
      this.#resendLater()
    })
  }

  #sampleRtt(): void {
    for (const { id, address } of this.#members.values()) {
      const rttMs = this.#transport.rttMs(address)
      if (rttMs !== undefined) this.#broadcaster.rttSampled(id, rttMs)
    }
    this.#after('rtt', RTT_SAMPLE_MS, () => this.#sampleRtt())
  }

  /** One timer a purpose: the one that is set already stays. */
  #after(purpose: string, waitMs: number, work: () => void): void {
    if (this.#isStopped || this.#timers.has(purpose)) return
    const timer = this.#init.clock.setTimer(
      () => {
        this.#timers.delete(purpose)
        if (this.#isStopped) return
        try {
          work()
        } catch (error) {
          this.#init.fatal(error)
        }
      },
      Math.max(0, waitMs),
    )
    this.#timers.set(purpose, timer)
  }
}

/** A frame again, with its length in front. */
function framed(payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(4 + payload.length)
  frame.writeUInt32BE(payload.length, 0)
  frame.set(payload, 4)
  return frame
}
