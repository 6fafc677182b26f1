import { parseByteSize } from '#base'
import type { Vm } from './app-config.ts'
import { list } from './problem.ts'

/** A machine's size, as the Machines API writes it. */
export interface Guest {
  readonly cpu_kind: string
  readonly cpus: number
  readonly memory_mb: number
  readonly max_memory_mb?: number
  readonly host_dedication_id?: string
  readonly kernel_args?: readonly string[]
  readonly persist_rootfs?: string
}

interface CpuKind {
  readonly preset: (cpus: number) => string
  readonly cpus: readonly number[]
  /** Per CPU. */
  readonly memoryMb: { readonly min: number; readonly max: number }
  readonly stepMb: number
}

const KINDS: Readonly<Record<string, CpuKind>> = {
  shared: {
    preset: (cpus) => `shared-cpu-${cpus}x`,
    cpus: [1, 2, 4, 6, 8],
    memoryMb: { min: 256, max: 2048 },
    stepMb: 256,
  },
  performance: {
    preset: (cpus) => `performance-${cpus}x`,
    cpus: [1, 2, 4, 6, 8, 10, 12, 14, 16],
    memoryMb: { min: 2048, max: 8192 },
    stepMb: 1024,
  },
}

const DEFAULT_PRESET = 'shared-cpu-1x'
const MIB = 2 ** 20

/** Every size that has a name, smallest first. */
export const presetNames = (): string[] =>
  Object.values(KINDS).flatMap(({ preset, cpus }) => cpus.map(preset))

/** Undefined: no size of that name. */
export function presetOf(name: string): Guest | undefined {
  for (const [cpuKind, { preset, cpus, memoryMb }] of Object.entries(KINDS)) {
    const count = cpus.find((one) => preset(one) === name)
    if (count !== undefined) {
      return { cpu_kind: cpuKind, cpus: count, memory_mb: count * memoryMb.min }
    }
  }
  return undefined
}

/** A size that cannot be: which key says so, and why. */
export interface SizeFault {
  readonly key: string
  readonly what: string
}

/**
 * What a `[[vm]]` asks for: its preset (or the smallest), changed by its other keys. A size of that kind
 * and number of CPUs that names no memory gets the least it may have.
 */
export function guestOfVm(vm: Vm): Guest | SizeFault {
  const preset = presetOf(vm.size ?? DEFAULT_PRESET)
  if (preset === undefined) return unknownSize(vm.size ?? '')
  const cpuKind = vm.cpu_kind ?? preset.cpu_kind
  const kind = KINDS[cpuKind]
  if (kind === undefined) {
    return { key: 'cpu_kind', what: `is '${cpuKind}'; use ${list(Object.keys(KINDS))}` }
  }
  const cpus = vm.cpus ?? preset.cpus
  if (!kind.cpus.includes(cpus)) {
    return { key: 'cpus', what: `is ${cpus}; ${cpuKind} has ${list(kind.cpus.map(String))}` }
  }
  const memory = memoryOf(vm, Math.max(preset.memory_mb, cpus * kind.memoryMb.min))
  if (typeof memory !== 'number') return memory
  const fault = memoryFault(kind, cpus, memory)
  if (fault !== undefined)
    return { key: vm.memory_mb === undefined ? 'memory' : 'memory_mb', what: fault }
  return {
    cpu_kind: cpuKind,
    cpus,
    memory_mb: memory,
    ...(vm.max_memory_mb === undefined ? {} : { max_memory_mb: vm.max_memory_mb }),
    ...(vm.host_dedication_id === undefined ? {} : { host_dedication_id: vm.host_dedication_id }),
    ...(vm.kernel_args === undefined ? {} : { kernel_args: vm.kernel_args }),
    ...(vm.persist_rootfs === undefined ? {} : { persist_rootfs: vm.persist_rootfs }),
  }
}

function memoryOf({ memory, memory_mb: memoryMb }: Vm, otherwise: number): number | SizeFault {
  if (memoryMb !== undefined) return memoryMb
  if (memory === undefined) return otherwise
  if (typeof memory === 'number') return memory
  const bytes = /^\d+$/.test(memory) ? Number(memory) * MIB : sizeOrUndefined(memory)
  if (bytes === undefined) {
    return { key: 'memory', what: `is '${memory}'; write a size like 512mb or 2gb` }
  }
  return Math.round(bytes / MIB)
}

/** Bytes, or undefined for what is no size. */
export function sizeOrUndefined(text: string): number | undefined {
  try {
    return parseByteSize(text)
  } catch {
    return undefined // parseByteSize throws for this and nothing else
  }
}

function memoryFault({ memoryMb, stepMb }: CpuKind, cpus: number, memory: number) {
  const [min, max] = [cpus * memoryMb.min, cpus * memoryMb.max]
  if (memory < min) return `is ${memory} MiB; the least for ${cpus} CPUs of that kind is ${min}`
  if (memory > max) return `is ${memory} MiB; the most for ${cpus} CPUs of that kind is ${max}`
  return memory % stepMb === 0 ? undefined : `is ${memory} MiB; use a multiple of ${stepMb}`
}

function unknownSize(name: string): SizeFault {
  const begins = Object.keys(KINDS).some((kind) => name.startsWith(kind))
  const hint = begins
    ? `use ${list(presetNames())}`
    : `it begins with 'shared' or 'performance', such as ${DEFAULT_PRESET}`
  return { key: 'size', what: `is '${name}'; ${hint}` }
}
