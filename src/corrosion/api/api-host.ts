import type { ActorId } from '../changes/actor-id.ts'
import type { ReadPool } from '../store/read-pool.ts'
import type { Committed, Store } from '../store/store.ts'
import type { Subscriptions } from '../subscriptions/subscriptions.ts'
import type { QueryProcesses } from './query-processes.ts'

export interface HealthReport {
  readonly gaps: number
  readonly members: number
  /** Seconds from commit elsewhere to here, of the last two minutes; undefined without samples. */
  readonly p99Lag: number | undefined
  readonly queueSize: number
}

/** What the API needs of the agent that it speaks for. */
export interface ApiHost {
  readonly actor: ActorId
  readonly store: Store
  readonly readers: ReadPool
  readonly queryProcesses: QueryProcesses
  readonly subscriptions: Subscriptions
  /** As Store.transaction; what it wrote is told to subscribers and peers soon after. */
  transaction<T>(work: () => T): Committed<T>
  health(): HealthReport
}
