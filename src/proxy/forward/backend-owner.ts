import type { EventLoop } from '../net/event-loop.ts'
import type { MemoryPool } from '../net/memory.ts'
import type { Stage } from '../net/outbox.ts'
import type { Counters } from '../observe/counters.ts'
import type { ProxyLimits } from './limits.ts'
import type { RemoteOpener } from './remote-opener.ts'

/** What connections to machines need of the engine that owns them. */
export interface BackendOwner {
  readonly loop: EventLoop
  readonly limits: ProxyLimits
  readonly counters: Counters
  /** Undefined: there are no other hosts. */
  readonly openRemote: RemoteOpener | undefined
  /** Bytes on their way to machines in this turn. */
  readonly backendStage: Stage
  /** Bytes that wait for slow peers. */
  readonly waiting: MemoryPool
  /** No connection is kept for later. */
  readonly isDraining: boolean
}
