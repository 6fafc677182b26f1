import type { Figure } from '#observe'
import type { MachineSeen } from '../model/machine-seen.ts'
import type { VolumeSeen } from '../model/volume-seen.ts'

const GB = 2 ** 30

/** How it ended last, while that is among the events that it still shows. */
export function exitFigures({ events }: MachineSeen): Figure[] {
  const exit = events.map(exitOf).find((one) => one !== undefined)
  if (exit === undefined) return []
  return [
    { name: 'fly_instance_exit_code', type: 'gauge', value: whole(exit['guest_exit_code']) },
    { name: 'fly_instance_exit_oom', type: 'gauge', value: exit['oom_killed'] === true ? 1 : 0 },
    { name: 'fly_instance_exit_vm_code', type: 'gauge', value: whole(exit['exit_code']) },
  ]
}

function exitOf(event: unknown): Readonly<Record<string, unknown>> | undefined {
  const { type, request } = event as { type?: unknown; request?: { exit_event?: unknown } }
  const exit = type === 'exit' ? request?.exit_event : undefined
  return typeof exit === 'object' && exit !== null ? (exit as Record<string, unknown>) : undefined
}

const whole = (value: unknown) => (typeof value === 'number' ? value : 0)

/** @param figures of the machine that it is attached to, which alone knows how full it is */
export function volumeFigures(
  { id, sizeGb, state }: VolumeSeen,
  machine: MachineSeen | undefined,
  figures: readonly Figure[],
): Figure[] {
  if (state === 'destroyed' || state === 'failed') return []
  const labels = { id }
  const size: Figure = { name: 'fly_volume_size_bytes', type: 'gauge', value: sizeGb * GB, labels }
  const mounts = (machine?.config.mounts ?? []) as readonly { volume?: string; path?: string }[]
  const path = mounts.find(({ volume }) => volume === id)?.path
  const blocks = (what: string) =>
    figures.find(
      (one) => one.name === `fly_instance_filesystem_${what}` && one.labels?.['mount'] === path,
    )?.value
  const [all, left] = [blocks('blocks'), blocks('blocks_avail')]
  if (path === undefined || all === undefined || left === undefined || all === 0) return [size]
  const used: Figure = {
    ...{ name: 'fly_volume_used_pct', type: 'gauge', labels },
    value: Math.round((1000 * (all - left)) / all) / 10,
  }
  return [size, used]
}
