import { refuse } from './errors.ts'

/**
 * Finds a host for something new, at once or not at all. Source: market-placement.ts, which asks all
 * hosts over NATS.
 */
export interface Placement {
  /** @throws FlapsError flaps.host_unreached: nobody could be asked */
  place(request: PlaceRequest, signal: AbortSignal): Promise<PlaceAnswer>
  /** Gives a reservation back that will not be used; otherwise it runs out by itself. */
  release(place: Place): void
}

export interface PlaceRequest {
  /** Of the machine or volume to be. */
  readonly id: string
  readonly appId: string
  /** In this order, each tried before the next. */
  readonly regions: readonly string[]
  /** An existing volume that it needs, and the host where the rows have it. */
  readonly volume: { readonly id: string; readonly hostId: string } | undefined
  /** Undefined: a volume without a machine in sight. */
  readonly guest: Guest | undefined
  /** Of a new volume. */
  readonly volumeGb: number
  readonly dedication: string | undefined
  readonly image: string | undefined
  /** Volumes and machines of which none may be on that host. */
  readonly apart: readonly string[]
  /** At most one of these on a host, even when two are placed at one moment. */
  readonly exclusive: string | undefined
}

export interface Guest {
  readonly cpuKind: 'shared' | 'performance'
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
  readonly where: string
  readonly reason: string
}

const REFUSALS_SHOWN = 5

/** The documented error for a request that nobody took. */
export function nobodyTook(request: PlaceRequest, refusals: readonly PlaceRefusal[]) {
  const { volume, regions } = request
  const shown = refusals.slice(0, REFUSALS_SHOWN).map(({ where, reason }) => `${where}: ${reason}`)
  const why = shown.length === 0 ? 'no host answered' : shown.join('; ')
  if (volume !== undefined) {
    return refuse(
      'flaps.volume_host_full',
      `failed_precondition: insufficient resources to create new machine with existing volume id '${volume.id}': ${why}`,
    )
  }
  return refuse(
    'flaps.capacity_lacking',
    `could not find a candidate host in ${regions.join(',')}: insufficient resources available to fulfill request: ${why}`,
  )
}
