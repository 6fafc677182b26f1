import { parseRegionList } from './region-list.ts'

/** What a request asks of the choice: by its own headers, or by the replay that sent it on. */
export interface Wish {
  /** Codes and aliases in order of preference. Empty: nearest first. */
  readonly regions: readonly string[]
  /** No other region will do. */
  readonly isRegionForced: boolean
  readonly machine: string | undefined
  /** No other machine will do. */
  readonly isMachineForced: boolean
  /** Machines not to choose: they failed this request, or it asked for another. */
  readonly excluded: ReadonlySet<string>
}

const NOBODY: ReadonlySet<string> = new Set()

/** Of nearly every request: the same object each time. */
export const NO_WISH: Wish = {
  regions: [],
  isRegionForced: false,
  machine: undefined,
  isMachineForced: false,
  excluded: NOBODY,
}

export const WISH_HEADERS = {
  preferRegion: 'fly-prefer-region',
  forceRegion: 'fly-force-region',
  preferMachine: 'fly-prefer-instance-id',
  forceMachine: 'fly-force-instance-id',
} as const

/** Whoever knows a request's headers by lower-case name. */
export interface Headers {
  header(name: string): string | undefined
}

/** Forcing wins over preferring; a machine wins over a region. */
export function wishOf(request: Headers): Wish {
  const forcedMachine = request.header(WISH_HEADERS.forceMachine)
  const forcedRegion = request.header(WISH_HEADERS.forceRegion)
  const preferredMachine = request.header(WISH_HEADERS.preferMachine)
  const preferredRegion = request.header(WISH_HEADERS.preferRegion)
  const machine = forcedMachine ?? preferredMachine
  const regions = forcedRegion ?? preferredRegion
  if (machine === undefined && regions === undefined) return NO_WISH
  return {
    ...NO_WISH,
    regions: regions === undefined ? [] : parseRegionList(regions),
    isRegionForced: forcedRegion !== undefined,
    machine: machine?.trim(),
    isMachineForced: forcedMachine !== undefined,
  }
}

export const excluding = (wish: Wish, machines: Iterable<string>): Wish => ({
  ...wish,
  excluded: new Set([...wish.excluded, ...machines]),
})
