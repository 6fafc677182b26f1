/** What a replayed request carries. Values never hold `;`, which would end a field early. */
const field = (text: string) => text.replace(/[;\r\n]/g, ' ')

export interface ReplaySource {
  /** That asked for the replay. */
  readonly machine: string
  readonly region: string
  readonly state: string | undefined
  /** Milliseconds since the epoch. */
  readonly wallMs: number
}

/** `fly-replay-src`: `instance=<id>;region=<code>;t=<µs since the epoch>;state=<...>`. */
export function replaySource({ machine, region, state, wallMs }: ReplaySource): string {
  const head = `instance=${field(machine)};region=${field(region)};t=${Math.round(wallMs * 1_000)}`
  return state === undefined ? head : `${head};state=${field(state)}`
}

export interface ReplayFailure {
  /** What was asked for; '' where the replay named none. */
  readonly machine: string
  readonly app: string
  readonly regions: readonly string[]
  /** The machine that asked. */
  readonly source: string
  readonly reason: 'timeout' | 'retries_exhausted' | 'no_candidate'
  readonly elapsedMs: number
}

/** `fly-replay-failed`, on a request that came back by `fallback`. */
export function replayFailed(failure: ReplayFailure): string {
  return [
    `instance=${field(failure.machine)}`,
    `app=${field(failure.app)}`,
    `region=${field(failure.regions.join(','))}`,
    `replay_source=${field(failure.source)}`,
    `reason=${failure.reason}`,
    `elapsed_ms=${Math.round(failure.elapsedMs)}`,
  ].join(';')
}
