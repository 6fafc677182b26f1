import type { Directory } from './directory.ts'
import type { MachineRow } from './rows.ts'

/** Light in fibre, there and back, over great circles that cables do not follow. */
const RTT_US_PER_KM = 15
const EARTH_RADIUS_KM = 6371
const UNKNOWN_US = 1e9

/** Where this resolver stands. */
export interface Place {
  readonly hostId: string
  readonly region: string
}

/** Machines by round trip from `place`: measured, else guessed from the regions' coordinates; then by id. */
export function byNearness(directory: Directory, place: Place, machines: readonly MachineRow[]) {
  const measured = new Map<string, number>([[place.hostId, 0]])
  for (const { peerId, rttUs } of directory.links(place.hostId)) {
    if (rttUs !== undefined) measured.set(peerId, rttUs)
  }
  const rttOf = ({ hostId, region }: MachineRow): number =>
    measured.get(hostId) ?? guessUs(directory, place.region, region)
  return machines
    .map((machine) => ({ machine, rttUs: rttOf(machine) }))
    .sort((a, b) => a.rttUs - b.rttUs || (a.machine.id < b.machine.id ? -1 : 1))
    .map(({ machine }) => machine)
}

function guessUs(directory: Directory, from: string, to: string): number {
  if (from === to) return 1
  const [a, b] = [directory.region(from), directory.region(to)]
  if (a === undefined || b === undefined) return UNKNOWN_US
  const radians = Math.PI / 180
  const [dLat, dLon] = [(b.latitude - a.latitude) * radians, (b.longitude - a.longitude) * radians]
  const cosines = Math.cos(a.latitude * radians) * Math.cos(b.latitude * radians)
  const chord = Math.sin(dLat / 2) ** 2 + cosines * Math.sin(dLon / 2) ** 2
  return 1 + 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(chord))) * RTT_US_PER_KM
}
