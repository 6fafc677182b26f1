import type { CheckResult, Machine } from '#flaps-client'
import { renderTable } from '../table.ts'

const AGO: readonly (readonly [number, string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1_000, 's'],
]

/** `3m ago`, in the largest unit that fits. */
export function ago(time: string, nowMs = Date.now()): string {
  const passedMs = nowMs - Date.parse(time)
  for (const [unitMs, unit] of AGO) {
    if (passedMs >= unitMs) return `${Math.floor(passedMs / unitMs)}${unit} ago`
  }
  return Number.isNaN(passedMs) ? '' : 'now'
}

/** `2/2`, or nothing when the machine has no checks. */
export function checksText(checks: readonly CheckResult[] = []): string {
  if (checks.length === 0) return ''
  return `${checks.filter(({ status }) => status === 'passing').length}/${checks.length}`
}

export function imageText({ image_ref: ref, config }: Machine): string {
  const { repository = '', tag = '', digest = '' } = ref
  const name = tag === '' ? repository : `${repository}:${tag}`
  return name === ''
    ? (config?.image ?? '')
    : `${name}${tag === '' && digest !== '' ? `@${digest.slice(0, 19)}` : ''}`
}

export function sizeText({ config, incomplete_config: rest }: Machine): string {
  const { cpu_kind: kind = '', cpus = '', memory_mb: memory = '' } = (config ?? rest)?.guest ?? {}
  return kind === '' ? '' : `${kind} ${cpus}x ${memory}MB`
}

/** One line each. A machine whose host is gone says so in place of its state. */
export const machineTable = (machines: readonly Machine[]): string =>
  renderTable([
    ['ID', 'NAME', 'STATE', 'CHECKS', 'REGION', 'GROUP', 'SIZE', 'IMAGE', 'UPDATED'],
    ...machines.map((machine) => [
      machine.id,
      machine.name,
      machine.host_status === 'ok'
        ? machine.state
        : `${machine.state} (host ${machine.host_status})`,
      checksText(machine.checks),
      machine.region,
      (machine.config ?? machine.incomplete_config)?.metadata?.['fly_process_group'] ?? '',
      sizeText(machine),
      imageText(machine),
      ago(machine.updated_at),
    ]),
  ])
