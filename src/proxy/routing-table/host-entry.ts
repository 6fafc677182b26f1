import { number, type PlatformRow, text } from './platform-rows.ts'

/** Round trips below it count as none: the same rack. */
const NEAR_US = 500
/** Each band is that much farther than the one before. */
const BAND_RATIO = 1.5
/** A round trip must leave its band by this part of it before the band changes: else it would flutter. */
const HYSTERESIS_RATIO = 0.1
/** Of a host whose distance nobody knows: farther than any measured one. */
export const FARTHEST_BAND = 99

/** A host, and how far it is from this one. */
export class HostEntry {
  readonly id: string
  region = ''
  backhaulAddress = ''
  isEdge = false
  /** `hosts` has a row of it. */
  isKnown = false
  /** As `hosts` has it: joining, ready, cordoned, draining. */
  state = ''
  /** False while this proxy's own backhaul to it is down. */
  isReachable = true
  /** Smoothed. Infinity: never measured. */
  rttUs = Number.POSITIVE_INFINITY
  /** How far, in steps of half as far again. Hosts in one band count as equally near. */
  band = FARTHEST_BAND

  constructor(id: string) {
    this.id = id
  }

  /** @returns whether anything changed that routes depend on */
  put(row: PlatformRow): boolean {
    const region = text(row, 'region')
    const address = text(row, 'backhaul_ip')
    const isChanged = !this.isKnown || region !== this.region || address !== this.backhaulAddress
    this.isKnown = true
    this.region = region
    this.backhaulAddress = address
    this.isEdge = number(row, 'is_edge') === 1
    this.state = text(row, 'state')
    return isChanged
  }

  /** @returns whether the band changed */
  measured(rttUs: number): boolean {
    this.rttUs = Number.isFinite(this.rttUs) ? this.rttUs * 0.8 + rttUs * 0.2 : rttUs
    const band = bandOf(this.rttUs)
    if (band === this.band) return false
    const floor = floorOf(this.band)
    const isFirst = this.band === FARTHEST_BAND
    const isWithin =
      this.rttUs > floor * (1 - HYSTERESIS_RATIO) &&
      this.rttUs < floor * BAND_RATIO * (1 + HYSTERESIS_RATIO)
    if (!isFirst && isWithin && this.band > 0) return false
    if (this.band === 0 && this.rttUs < NEAR_US * (1 + HYSTERESIS_RATIO)) return false
    this.band = band
    return true
  }
}

/** 0 up to 0.5 ms, then one more for each half as far again. */
export function bandOf(rttUs: number): number {
  if (rttUs <= NEAR_US) return 0
  if (!Number.isFinite(rttUs)) return FARTHEST_BAND
  return Math.min(
    FARTHEST_BAND - 1,
    1 + Math.floor(Math.log(rttUs / NEAR_US) / Math.log(BAND_RATIO)),
  )
}

const floorOf = (band: number) => (band === 0 ? 0 : NEAR_US * BAND_RATIO ** (band - 1))
