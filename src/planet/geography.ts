/** A place on Earth, in degrees. */
export interface Coordinates {
  readonly latitude: number
  readonly longitude: number
}

const EARTH_RADIUS_KM = 6371
/** Light in glass: 1/c times a refractive index of 1.47. */
const FIBRE_US_PER_KM = 4.9
/** Cables follow coasts and streets: how much longer they are than the great circle. */
const DETOUR_RATIO = 1.5

/** Great-circle distance (haversine formula). */
export function distanceKm(from: Coordinates, to: Coordinates): number {
  const radians = (degrees: number) => (degrees * Math.PI) / 180
  const haversine = (angle: number) => Math.sin(angle / 2) ** 2
  const h =
    haversine(radians(to.latitude - from.latitude)) +
    Math.cos(radians(from.latitude)) *
      Math.cos(radians(to.latitude)) *
      haversine(radians(to.longitude - from.longitude))
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(h)))
}

/** What light needs for the way through a cable between two places. One way, whole microseconds. */
export function cableDelayUs(from: Coordinates, to: Coordinates): number {
  return Math.round(distanceKm(from, to) * DETOUR_RATIO * FIBRE_US_PER_KM)
}
