import type { Guest } from '#market'
import { refuse } from './errors.ts'
import type { MachineConfigJson } from './machine-json.ts'

const PER_CPU_MB = { shared: 256, performance: 2048 } as const

/**
 * The size that a configuration asks for: `guest`, else the preset that `size` names, else
 * shared-cpu-1x. Whether hosts offer it is for them to say.
 *
 * @throws FlydError flyd.argument_bad
 */
export function guestOf(config: MachineConfigJson): Guest {
  const { guest, size } = config as { guest?: unknown; size?: unknown }
  if (typeof guest === 'object' && guest !== null) return readGuest(guest)
  return presetOf(typeof size === 'string' && size !== '' ? size : 'shared-cpu-1x')
}

function readGuest(guest: { cpu_kind?: unknown; cpus?: unknown; memory_mb?: unknown }): Guest {
  const cpuKind = guest.cpu_kind ?? 'shared'
  if (cpuKind !== 'shared' && cpuKind !== 'performance') throw bad('cpu_kind')
  const cpus = guest.cpus ?? 1
  if (!isCount(cpus)) throw bad('cpus')
  const memoryMb = guest.memory_mb ?? cpus * PER_CPU_MB[cpuKind]
  if (!isCount(memoryMb)) throw bad('memory_mb')
  return { cpuKind, cpus, memoryMb }
}

const isCount = (value: unknown): value is number => Number.isInteger(value) && Number(value) > 0

const bad = (field: string) =>
  refuse('flyd.argument_bad', `invalid_argument: invalid config.guest.${field}`)

/** `shared-cpu-2x`, `performance-4x`. @throws FlydError flyd.argument_bad */
export function presetOf(name: string): Guest {
  const match = /^(shared)-cpu-([12468])x$|^(performance)-([1-9]\d?)x$/.exec(name)
  const cpuKind = match?.[1] === undefined ? 'performance' : 'shared'
  const cpus = Number(match?.[2] ?? match?.[4])
  if (match === null) {
    throw refuse('flyd.argument_bad', `invalid_argument: invalid machine size '${name}'`)
  }
  return { cpuKind, cpus, memoryMb: cpus * PER_CPU_MB[cpuKind] }
}
