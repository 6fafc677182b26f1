import type { Random } from '#base'
import type { ActorId } from '../changes/actor-id.ts'

export interface SyncPeer {
  readonly id: string
  readonly address: string
  readonly ring: number | undefined
}

const PERIOD_MIN_MS = 1_000
const PERIOD_MAX_MS = 15_000
const PEERS_MIN = 3
const PEERS_MAX = 10
const UNKNOWN_RING = 3

/**
 * When to compare with peers, and with which. The period grows while nothing is missing, and falls to its
 * minimum when something is known to be: a gap, a refused or dropped change, a member that came back.
 */
export class SyncSchedule {
  readonly #random: Random
  readonly #lastSyncMs = new Map<string, number>()
  #periodMs = PERIOD_MIN_MS
  #dueAtMs: number

  constructor(random: Random, nowMs: number) {
    this.#random = random
    this.#dueAtMs = nowMs + random.next() * PERIOD_MIN_MS
  }

  get dueAtMs(): number {
    return this.#dueAtMs
  }

  /** Something is missing. */
  wake(nowMs: number): void {
    this.#periodMs = PERIOD_MIN_MS
    this.#dueAtMs = Math.min(this.#dueAtMs, nowMs + this.#jittered(PERIOD_MIN_MS))
  }

  /** A round has ended. `isMissing`: gaps were left, or the round brought something. */
  finished(nowMs: number, isMissing: boolean): void {
    this.#periodMs = isMissing ? PERIOD_MIN_MS : Math.min(this.#periodMs * 1.6, PERIOD_MAX_MS)
    this.#dueAtMs = nowMs + this.#jittered(this.#periodMs)
  }

  synced(id: string, nowMs: number): void {
    this.#lastSyncMs.set(id, nowMs)
  }

  forget(id: string): void {
    this.#lastSyncMs.delete(id)
  }

  /** 3 to 10 peers: of twice as many drawn at random those most needed, longest not asked, nearest. */
  choose(peers: readonly SyncPeer[], needOf: (actor: ActorId) => number): SyncPeer[] {
    const wanted = Math.min(Math.max(Math.floor(peers.length / 100), PEERS_MIN), PEERS_MAX)
    const drawn = this.#draw(peers, wanted * 2)
    const need = (peer: SyncPeer) => needOf(peer.id as ActorId)
    const last = (peer: SyncPeer) => this.#lastSyncMs.get(peer.id) ?? -Infinity
    drawn.sort(
      (a, b) =>
        need(b) - need(a) ||
        compare(last(a), last(b)) ||
        (a.ring ?? UNKNOWN_RING) - (b.ring ?? UNKNOWN_RING),
    )
    return drawn.slice(0, wanted)
  }

  #draw(peers: readonly SyncPeer[], count: number): SyncPeer[] {
    const pool = [...peers]
    const drawn: SyncPeer[] = []
    while (drawn.length < count && pool.length > 0) {
      const at = this.#random.int(pool.length)
      drawn.push(pool[at] as SyncPeer)
      pool[at] = pool.at(-1) as SyncPeer
      pool.pop()
    }
    return drawn
  }

  #jittered(ms: number): number {
    return ms * (0.7 + 0.6 * this.#random.next())
  }
}

const compare = (a: number, b: number) => (a === b ? 0 : a < b ? -1 : 1)
