import type { Guest } from './placement.ts'
import type { HostRow } from './rows.ts'

export interface RegionRoom {
  readonly region: string
  readonly count: number
  readonly concurrency: number
}

/**
 * How many machines of one size would fit into each region by what the rows say of its hosts' memory:
 * a guess that reserves nothing, for hosts overcommit as they like. Regions without room stay out.
 */
export function roomIn(
  hosts: readonly HostRow[],
  wanted: { regions: readonly string[]; guest: Guest; count: number },
): RegionRoom[] {
  return wanted.regions.flatMap((region) => {
    const ready = hosts.filter((host) => host.region === region && host.state === 'ready')
    const fitting = ready.map((host) =>
      Math.max(0, Math.floor((host.memoryMb - host.usedMemoryMb) / wanted.guest.memoryMb)),
    )
    const room = fitting.reduce((sum, one) => sum + one, 0)
    const count = Math.min(room, wanted.count)
    const concurrency = Math.min(count, fitting.filter((one) => one > 0).length)
    return count === 0 ? [] : [{ region, count, concurrency }]
  })
}
