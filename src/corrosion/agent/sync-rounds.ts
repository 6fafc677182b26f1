import { errorCode, type Log, type Random } from '#base'
import type { ActorId } from '../changes/actor-id.ts'
import type { Changeset } from '../changes/changeset.ts'
import { NeedShares, needCount } from '../gossip/compute-needs.ts'
import { type SyncPeer, SyncSchedule } from '../gossip/sync-schedule.ts'
import type { Transport } from '../transport/transport.ts'
import type { NodeCounters } from './node-counters.ts'
import { pullFrom, type SyncContext } from './sync-sessions.ts'

export interface SyncRoundsInit {
  readonly context: SyncContext
  readonly transport: Transport
  readonly random: Random
  readonly log: Log
  readonly counters: NodeCounters
  /** Members that may be asked. */
  readonly peers: () => SyncPeer[]
  readonly apply: (changesets: readonly Changeset[]) => void
}

/**
 * Asks peers, one round after the other, for what broadcasts did not bring. Rounds come sooner while something is
 * missing.
 */
export class SyncRounds {
  readonly #init: SyncRoundsInit
  readonly #schedule: SyncSchedule
  /** Of the next round. */
  #timer: Disposable | undefined
  #isSyncing = false
  #isStopped = false

  constructor(init: SyncRoundsInit) {
    this.#init = init
    this.#schedule = new SyncSchedule(init.random, init.context.clock.monotonicMs())
  }

  start(): void {
    if (this.#timer === undefined) this.#arm()
  }

  /** Something is missing: the next round comes soon. */
  wake(): void {
    this.#schedule.wake(this.#init.context.clock.monotonicMs())
    if (!this.#isSyncing) this.#arm()
  }

  /** A member is gone. */
  forget(id: string): void {
    this.#schedule.forget(id)
  }

  /** What comes of a round that is under way is not applied any more. */
  stop(): void {
    this.#isStopped = true
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
  }

  #arm(): void {
    if (this.#isStopped) return
    const { clock } = this.#init.context
    this.#timer?.[Symbol.dispose]()
    const waitMs = Math.max(0, this.#schedule.dueAtMs - clock.monotonicMs())
    this.#timer = clock.setTimer(() => this.#round(), waitMs)
  }

  #round(): void {
    this.#timer = undefined
    this.#isSyncing = true
    const { context, log } = this.#init
    void this.#syncWithPeers()
      .catch((error) => {
        log.error({ err: error }, 'a round of sync failed')
        return true
      })
      .then((isMissing) => {
        this.#isSyncing = false
        this.#schedule.finished(context.clock.monotonicMs(), isMissing)
        this.#arm()
      })
  }

  /** True: something was missing, or still is. */
  async #syncWithPeers(): Promise<boolean> {
    const { replica, clock } = this.#init.context
    const state = replica.syncState()
    const missing = new Map([...state.need].map(([actor, ranges]) => [actor, ranges.length]))
    const peers = this.#init.peers()
    const chosen = this.#schedule.choose(peers, (actor: ActorId) => missing.get(actor) ?? 0)
    if (chosen.length === 0) return false
    const shares = new NeedShares()
    const counts = await Promise.all(
      chosen.map(({ id, address }) => {
        this.#schedule.synced(id, clock.monotonicMs())
        return this.#pull(address, shares)
      }),
    )
    return counts.some((count) => count > 0) || needCount(replica.syncState()) > 0
  }

  async #pull(address: string, shares: NeedShares): Promise<number> {
    const { context, transport, counters, log } = this.#init
    const take = async (changesets: Changeset[]) => {
      if (this.#isStopped) return
      counters.syncChangesetsReceived += changesets.length
      this.#init.apply(changesets)
      // Whoever waits for the event loop has its turn between two batches.
      await new Promise<void>((resolve) => context.clock.setTimer(resolve, 0))
    }
    try {
      return await pullFrom(address, transport, context, shares, take)
    } catch (error) {
      counters.syncPullsFailed += 1
      log.debug({ err: error, code: errorCode(error), peer: address }, 'a sync ended early')
      return 0
    }
  }
}
