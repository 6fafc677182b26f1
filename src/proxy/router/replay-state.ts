import { NO_WISH, type Wish } from '../balance/wish.ts'
import type { CacheSlot } from '../replay/replay-cache.ts'
import { REPLAY_CACHE_HEADERS } from '../replay/replay-cache-order.ts'
import type { ReplayFailure } from '../replay/replay-headers.ts'
import { replayFailed, replaySource } from '../replay/replay-headers.ts'
import type { ReplayRequest } from '../replay/replay-request.ts'
import type { PortRoute, ServiceEntry } from '../routing-table/app-tree.ts'
import type { RequestSubject } from './request-subject.ts'

/** A request on its way to where a replay sends it. */
export interface ReplayState {
  readonly subject: RequestSubject
  readonly replay: ReplayRequest
  /** That asked for it; undefined for one from the cache. */
  readonly source: ServiceEntry | undefined
  readonly sourceRoute: PortRoute
  /** Of the target. */
  readonly route: PortRoute
  readonly wish: Wish
  readonly headers: ReadonlyMap<string, string | false>
  readonly target: string | undefined
  /** Replays of this request so far, this one included. */
  readonly count: number
  /** Monotonic. */
  readonly sinceMs: number
  readonly cacheSlot: CacheSlot | undefined
  /** It comes back to where it was: it cannot be replayed again. */
  readonly isFallback: boolean
  attempts: number
  /** A connection to the target was made: what goes wrong now is the app's affair. */
  isConnected: boolean
}

/** What a replay asks of the choice. */
export function wishOfReplay(replay: ReplayRequest, source: string | undefined): Wish {
  const machine = replay.machine ?? replay.preferredMachine
  return {
    ...NO_WISH,
    regions: replay.regions,
    isRegionForced: replay.regions.length > 0,
    machine,
    isMachineForced: replay.machine !== undefined,
    excluded: replay.isElsewhere && source !== undefined ? new Set([source]) : NO_WISH.excluded,
  }
}

export type CacheStatus = 'hit' | 'miss' | 'bypass'

/** Headers of the replayed request. One from the cache has no source. */
export function headersOfReplay(
  replay: ReplayRequest,
  source: ServiceEntry | undefined,
  status: CacheStatus,
  wallMs: number,
): Map<string, string | false> {
  const headers = new Map<string, string | false>([[REPLAY_CACHE_HEADERS.status, status]])
  for (const name of replay.transform?.deleteHeaders ?? []) headers.set(name, false)
  for (const { name, value } of replay.transform?.setHeaders ?? []) headers.set(name, value)
  if (source === undefined) return headers
  const { id: machine, region } = source.machine
  headers.set('fly-replay-src', replaySource({ machine, region, state: replay.state, wallMs }))
  return headers
}

/** The way back, for a replay that has one and made no connection. */
export function fallbackOf(
  state: ReplayState,
  reason: ReplayFailure['reason'],
  nowMs: number,
): ReplayState | undefined {
  const { replay, source, isConnected, isFallback } = state
  if (replay.fallback === undefined || source === undefined) return undefined
  if (isConnected || isFallback) return undefined
  const failed = replayFailed({
    machine: replay.machine ?? replay.preferredMachine ?? '',
    app: state.route.app.name,
    regions: replay.regions,
    source: source.machine.id,
    reason,
    elapsedMs: nowMs - state.sinceMs,
  })
  return {
    ...state,
    replay: { ...replay, timeoutMs: undefined, fallback: undefined, transform: undefined },
    route: state.sourceRoute,
    wish: {
      ...NO_WISH,
      machine: source.machine.id,
      isMachineForced: replay.fallback === 'force_self',
    },
    headers: new Map([['fly-replay-failed', failed]]),
    target: undefined,
    isFallback: true,
    attempts: 0,
  }
}
