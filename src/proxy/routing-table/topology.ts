import { FARTHEST_BAND, HostEntry } from './host-entry.ts'
import { number, type PlatformRow, text } from './platform-rows.ts'

interface Place {
  readonly latitude: number
  readonly longitude: number
  readonly updatedAtMs: number
}

/** Light in fibre, there and back, with a third of detour. */
const US_PER_KM = 13

/**
 * Hosts, regions, and how far each is from here. Measured round trips count; where there is none yet, the
 * regions' places on the globe give an estimate.
 */
export class Topology {
  readonly ownHostId: string
  /** Grows when a distance band, a region or a host's reachability changes. */
  version = 0
  readonly #hosts = new Map<string, HostEntry>()
  readonly #places = new Map<string, Map<string, Place>>()
  #distances: Map<string, number> | undefined

  constructor(ownHostId: string) {
    this.ownHostId = ownHostId
    const own = this.host(ownHostId)
    own.measured(0)
  }

  get own(): HostEntry {
    return this.host(this.ownHostId)
  }

  hosts(): Iterable<HostEntry> {
    return this.#hosts.values()
  }

  /** Made when it is not there: rows that refer to it may come first. */
  host(id: string): HostEntry {
    const known = this.#hosts.get(id)
    if (known !== undefined) return known
    const host = new HostEntry(id)
    this.#hosts.set(id, host)
    return host
  }

  putHost(row: PlatformRow): void {
    if (this.host(text(row, 'id')).put(row)) this.#changed()
  }

  removeHost(id: string): void {
    this.host(id).isKnown = false
    this.#changed()
  }

  /** Only this host's own links count. */
  putLink(row: PlatformRow): void {
    if (text(row, 'host_id') !== this.ownHostId) return
    const rttUs = number(row, 'rtt_us', -1)
    if (rttUs >= 0) this.measured(text(row, 'peer_id'), rttUs)
  }

  /** A round trip of this proxy's own backhaul, or of the mesh. Microseconds. */
  measured(hostId: string, rttUs: number): void {
    if (hostId === this.ownHostId) return
    if (this.host(hostId).measured(rttUs)) this.#changed()
  }

  setReachable(hostId: string, isReachable: boolean): void {
    const host = this.host(hostId)
    if (host.isReachable === isReachable) return
    host.isReachable = isReachable
    this.#changed()
  }

  putRegion(row: PlatformRow): void {
    const places = this.#places.get(text(row, 'name')) ?? new Map<string, Place>()
    places.set(text(row, 'host_id'), {
      latitude: number(row, 'latitude'),
      longitude: number(row, 'longitude'),
      updatedAtMs: number(row, 'updated_at'),
    })
    this.#places.set(text(row, 'name'), places)
    this.#changed()
  }

  removeRegion(name: string, hostId: string): void {
    const places = this.#places.get(name)
    places?.delete(hostId)
    if (places?.size === 0) this.#places.delete(name)
    this.#changed()
  }

  /** Microseconds from here to the nearest host of a region; 0 for the own region. */
  distanceUs(region: string): number {
    if (region === this.own.region) return 0
    this.#distances ??= this.#measureRegions()
    return this.#distances.get(region) ?? this.#estimateUs(region)
  }

  /** The host's band, or one by the estimate when there is no measurement yet. */
  bandOf(host: HostEntry): number {
    if (host.band !== FARTHEST_BAND) return host.band
    return host.region === this.own.region ? 0 : FARTHEST_BAND
  }

  /** Where a region is, as the host that said so last. */
  placeOf(region: string): { readonly latitude: number; readonly longitude: number } | undefined {
    let newest: Place | undefined
    for (const place of this.#places.get(region)?.values() ?? []) {
      if (newest === undefined || place.updatedAtMs > newest.updatedAtMs) newest = place
    }
    return newest
  }

  #measureRegions(): Map<string, number> {
    const distances = new Map<string, number>()
    for (const host of this.#hosts.values()) {
      if (!host.isKnown || !Number.isFinite(host.rttUs)) continue
      const nearest = distances.get(host.region) ?? Number.POSITIVE_INFINITY
      distances.set(host.region, Math.min(nearest, host.rttUs))
    }
    return distances
  }

  #estimateUs(region: string): number {
    const here = this.placeOf(this.own.region)
    const there = this.placeOf(region)
    if (here === undefined || there === undefined) return Number.MAX_SAFE_INTEGER
    return kilometresBetween(here, there) * US_PER_KM
  }

  #changed(): void {
    this.version += 1
    this.#distances = undefined
  }
}

type Point = { readonly latitude: number; readonly longitude: number }
const EARTH_RADIUS_KM = 6_371

/** Great-circle distance (haversine formula). */
function kilometresBetween(a: Point, b: Point): number {
  const radians = (degrees: number) => (degrees * Math.PI) / 180
  const dLatitude = radians(b.latitude - a.latitude) / 2
  const dLongitude = radians(b.longitude - a.longitude) / 2
  const h =
    Math.sin(dLatitude) ** 2 +
    Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * Math.sin(dLongitude) ** 2
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(Math.min(1, h)))
}
