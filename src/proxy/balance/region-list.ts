import type { Topology } from '../routing-table/topology.ts'

/** Region codes that the documented aliases stand for, as far as codes are generally known. */
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  us: 'atl bos den dfw ewr iad lax mia ord phx sea sjc'.split(' '),
  na: 'atl bos den dfw ewr gdl iad lax mia ord phx qro sea sjc yul yyz'.split(' '),
  sa: 'bog eze gig gru scl'.split(' '),
  eu: 'ams arn cdg fra lhr mad otp waw'.split(' '),
  apac: 'bom hkg nrt sin syd'.split(' '),
}
const ALL_KNOWN = new Set(Object.values(KNOWN).flat())
const ALIASES = new Set(['any', 'usa', ...Object.keys(KNOWN)])

interface Area {
  readonly latitude: readonly [number, number]
  readonly longitude: readonly [number, number]
}

/** For regions with codes of their own: where on the globe. */
const AREAS: Readonly<Record<string, readonly Area[]>> = {
  us: [{ latitude: [24, 49.4], longitude: [-125, -66] }],
  na: [{ latitude: [13, 84], longitude: [-170, -30] }],
  sa: [{ latitude: [-56, 13], longitude: [-93, -30] }],
  eu: [{ latitude: [34, 72], longitude: [-25, 45] }],
  apac: [
    { latitude: [-50, 60], longitude: [60, 180] },
    { latitude: [-50, 30], longitude: [-180, -130] },
  ],
}

/** `a, b,us`: codes and aliases in order of preference, in lower case. Empty ones are left out. */
export const parseRegionList = (text: string): readonly string[] =>
  text
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')

/**
 * The regions of `present` that a list names, in its order; those of an alias in the order of `present`,
 * which is nearest first. `any` names all that are left.
 */
export function expandRegions(
  list: readonly string[],
  present: readonly string[],
  topology: Topology,
): readonly string[] {
  const named = new Set<string>()
  for (const name of list) {
    for (const region of present) {
      if (region === name || isIn(region, name, topology)) named.add(region)
    }
  }
  return [...named]
}

function isIn(region: string, alias: string, topology: Topology): boolean {
  if (!ALIASES.has(alias)) return false
  if (alias === 'any') return true
  const area = alias === 'usa' ? 'us' : alias
  if (ALL_KNOWN.has(region)) return KNOWN[area]?.includes(region) ?? false
  const place = topology.placeOf(region)
  if (place === undefined) return false
  return (AREAS[area] ?? []).some(
    ({ latitude, longitude }) =>
      latitude[0] <= place.latitude &&
      place.latitude <= latitude[1] &&
      longitude[0] <= place.longitude &&
      place.longitude <= longitude[1],
  )
}
