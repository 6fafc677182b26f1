import type { Random } from '#base'
import type { Region } from './host.ts'
import type { Guest } from './needs.ts'
import type { PlacementRequest } from './placement-request.ts'

const shared = (cpus: number, memoryMb: number): Guest => ({ cpuKind: 'shared', cpus, memoryMb })
const performance = (cpus: number, memoryMb: number): Guest => ({
  cpuKind: 'performance',
  cpus,
  memoryMb,
})

/** The largest that is asked for, and the yardstick of how well room was kept together. */
export const LARGEST = performance(16, 65_536)

/** What people run: many small ones, few large ones. Parts of 1,000. */
const MIX: readonly (readonly [guest: Guest, permille: number])[] = [
  [shared(1, 256), 500],
  [shared(1, 1_024), 150],
  [shared(2, 2_048), 150],
  [shared(4, 4_096), 80],
  [performance(1, 2_048), 60],
  [performance(2, 4_096), 40],
  [performance(8, 16_384), 15],
  [LARGEST, 5],
]
const MACHINES_PER_APP = 5
const VOLUME_PERMILLE = 150
const VOLUME_BYTES = 10 * 2 ** 30
const FALLBACK_PERMILLE = 300

/** The next thing that somebody wants: the same sequence from the same stream. */
export function nextRequest(
  random: Random,
  regions: readonly Region[],
  machines: number,
): PlacementRequest {
  const pick = () => regions[random.int(regions.length)] as Region
  const first = pick()
  const second = pick()
  const isStrict = second === first || random.int(1_000) >= FALLBACK_PERMILLE
  const hasVolume = random.int(1_000) < VOLUME_PERMILLE
  return {
    app: `app${random.int(Math.max(1, Math.ceil(machines / MACHINES_PER_APP)))}`,
    guest: nextGuest(random),
    regions: isStrict ? [first] : [first, second],
    ...(hasVolume ? { volumeBytes: VOLUME_BYTES } : {}),
  }
}

function nextGuest(random: Random): Guest {
  let left = random.int(1_000)
  for (const [guest, permille] of MIX) {
    if (left < permille) return guest
    left -= permille
  }
  return LARGEST
}
