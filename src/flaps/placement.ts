import { refuse } from './errors.ts'

/** Finds a host for something new, at once or not at all. Owner: #market. */
export interface Placement {
  place(request: PlaceRequest, signal: AbortSignal): Promise<PlaceAnswer>
  /** Gives a reservation back that will not be used; otherwise it runs out by itself. */
  release(place: Place): void
  /** How many of these would fit where, best first. Reserves nothing. */
  simulate(request: SimulateRequest, signal: AbortSignal): Promise<readonly RegionRoom[]>
}

export interface PlaceRequest {
  /** Of the machine or volume to be. */
  readonly id: string
  readonly kind: 'machine' | 'volume'
  readonly appId: string
  readonly orgId: string
  /** In this order, each tried before the next. */
  readonly regions: readonly string[]
  /** Only this one, which holds the volume. */
  readonly hostId: string | undefined
  readonly guest: Guest
  readonly volumeGb: number
  /** Hosts of these ids are not taken: volumes that want a zone of their own. */
  readonly avoidHostIds: readonly string[]
}

export interface Guest {
  readonly cpuKind: string
  readonly cpus: number
  readonly memoryMb: number
}

export interface Place {
  readonly hostId: string
  readonly region: string
  readonly reservation: string
}

export type PlaceAnswer =
  | { readonly placed: true; readonly place: Place }
  | { readonly placed: false; readonly refusals: readonly PlaceRefusal[] }

/** Why one host did not take it. */
export interface PlaceRefusal {
  readonly hostId: string
  readonly reason: string
}

export interface SimulateRequest {
  readonly regions: readonly string[]
  readonly guest: Guest
  readonly volumeGb: number
  readonly count: number
}

export interface RegionRoom {
  readonly region: string
  readonly count: number
  readonly concurrency: number
}

const REFUSALS_SHOWN = 5

/** The documented error for a request that nobody took. */
export function nobodyTook(request: PlaceRequest, refusals: readonly PlaceRefusal[]) {
  const { hostId, regions } = request
  const shown = refusals.slice(0, REFUSALS_SHOWN).map((one) => `${one.hostId}: ${one.reason}`)
  const why = shown.length === 0 ? 'no host answered' : shown.join('; ')
  if (hostId !== undefined) {
    return refuse(
      'flaps.volume_host_full',
      `failed_precondition: insufficient resources to create new machine with existing volume: ${why}`,
    )
  }
  return refuse(
    'flaps.capacity_lacking',
    `could not find a candidate host in ${regions.join(',')}: insufficient resources available to fulfill request: ${why}`,
  )
}
