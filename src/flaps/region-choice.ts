import { refuseWithFix } from './errors.ts'
import type { RegionRow } from './rows.ts'
import type { Services } from './services.ts'

/** Aliases that stand for parts of the world, as boxes of latitude and longitude. */
const areas: Readonly<
  Record<string, readonly [south: number, north: number, west: number, east: number]>
> = {
  eu: [35, 72, -25, 45],
  us: [24, 50, -125, -66],
  na: [14, 72, -170, -50],
  sa: [-56, 14, -82, -34],
  apac: [-48, 55, 60, 180],
}

/**
 * The regions that `region` means, in the order to try: a code, an alias, or a list of both. None
 * given: the one where the caller came in. `any`: all, the nearest first.
 *
 * @throws FlapsError flaps.argument_bad: a region that this platform does not have
 */
export function regionsOf(
  region: string | undefined,
  { rows, region: here }: Pick<Services, 'rows' | 'region'>,
): readonly string[] {
  const known = rows.regions()
  const wanted = (region || here).split(',').map((one) => one.trim())
  const found = wanted.flatMap((one) => expand(one, known, here))
  return [...new Set(found)]
}

function expand(name: string, known: readonly RegionRow[], here: string): readonly string[] {
  if (known.some(({ code }) => code === name)) return [name]
  if (name === 'any') return nearestFirst(known, here)
  const area = areas[name]
  if (area === undefined) {
    throw refuseWithFix(
      'flaps.argument_bad',
      `invalid_argument: target region ${name} not found`,
      '`godwit platform regions` shows the regions',
    )
  }
  const [south, north, west, east] = area
  const within = known.filter(
    ({ latitude, longitude }) =>
      latitude >= south && latitude <= north && longitude >= west && longitude <= east,
  )
  return nearestFirst(within, here, known)
}

function nearestFirst(
  regions: readonly RegionRow[],
  here: string,
  known: readonly RegionRow[] = regions,
): readonly string[] {
  const from = known.find(({ code }) => code === here)
  if (from === undefined) return regions.map(({ code }) => code)
  return [...regions].sort((a, b) => arc(from, a) - arc(from, b)).map(({ code }) => code)
}

const RADIANS = Math.PI / 180

/** Angle between two places on the sphere, radians (spherical law of cosines). */
function arc(a: RegionRow, b: RegionRow): number {
  const [latA, latB] = [a.latitude * RADIANS, b.latitude * RADIANS]
  const between = (b.longitude - a.longitude) * RADIANS
  const cosine =
    Math.sin(latA) * Math.sin(latB) + Math.cos(latA) * Math.cos(latB) * Math.cos(between)
  return Math.acos(Math.min(1, Math.max(-1, cosine)))
}
