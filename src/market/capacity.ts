import { MarketError } from './errors.ts'
import type { CpuKind, Guest, Needs } from './needs.ts'

/** What a host has for guests and volumes, and how far each may be promised beyond what is there. */
export interface HostCapacity {
  /** Hardware threads for guests; what the host keeps for itself is not among them. */
  readonly cpus: number
  /**
   * vCPUs of a kind for each thread. Both kinds share the threads: a performance vCPU takes a whole
   * one, sixteen shared vCPUs take one together. @default { shared: 16, performance: 1 }
   */
  readonly cpuRatio?: Readonly<Record<CpuKind, number>>
  readonly memoryMb: number
  /** Memory promised for each MiB that is there; above 1 needs swap. @default 1 */
  readonly memoryRatio?: number
  /** What the VMM takes beside the guest's memory, for each machine. @default 0 */
  readonly machineOverheadMb?: number
  /** Running machines, for lack of addresses or taps. @default 1,000 */
  readonly machinesMax?: number
  readonly volumeBytes: number
  /** Bytes of thin volumes promised for each byte that is there. @default 1 */
  readonly volumeRatio?: number
}

/** A shared vCPU is guaranteed 5 ms of each 80 ms: a sixteenth of a thread. */
export const DEFAULT_CPU_RATIO: Readonly<Record<CpuKind, number>> = { shared: 16, performance: 1 }
const DEFAULT_MACHINES_MAX = 1_000

/**
 * An amount of each resource, all integers so that sums are exact however often they are taken apart.
 * A millionth of a thread is the unit of processor time.
 */
export interface Load {
  readonly cpuMicros: number
  readonly memoryMb: number
  readonly machines: number
  readonly volumeBytes: number
}

export const MICROS_PER_CPU = 1_000_000
export const NO_LOAD: Load = { cpuMicros: 0, memoryMb: 0, machines: 0, volumeBytes: 0 }

/** How full a host is: parts of what it may promise, 0 to 1 (more only after its limits shrank). */
export interface Utilisation {
  readonly cpu: number
  readonly memory: number
  readonly machines: number
  readonly volume: number
}

/** A host's limits, ratios applied, and what something costs there. */
export class CapacityLimits {
  readonly limits: Load
  readonly #cpuRatio: Readonly<Record<CpuKind, number>>
  readonly #overheadMb: number

  /** @throws MarketError market.capacity_bad */
  constructor(capacity: HostCapacity) {
    const {
      cpuRatio = DEFAULT_CPU_RATIO,
      memoryRatio = 1,
      volumeRatio = 1,
      machineOverheadMb = 0,
      machinesMax = DEFAULT_MACHINES_MAX,
    } = capacity
    const { cpus, memoryMb, volumeBytes } = capacity
    checkPositive({ shared: cpuRatio.shared, performance: cpuRatio.performance })
    checkPositive({ memoryRatio, volumeRatio })
    checkCounts({ cpus, memoryMb, volumeBytes, machineOverheadMb, machinesMax })
    this.limits = {
      cpuMicros: cpus * MICROS_PER_CPU,
      memoryMb: Math.floor(memoryMb * memoryRatio),
      machines: machinesMax,
      volumeBytes: Math.floor(volumeBytes * volumeRatio),
    }
    this.#cpuRatio = cpuRatio
    this.#overheadMb = machineOverheadMb
  }

  loadOf({ guest, volumeBytes = 0 }: Needs): Load {
    if (guest === undefined) return volumeBytes === 0 ? NO_LOAD : { ...NO_LOAD, volumeBytes }
    return {
      cpuMicros: this.#cpuMicrosOf(guest),
      memoryMb: guest.memoryMb + this.#overheadMb,
      machines: 1,
      volumeBytes,
    }
  }

  /** Rounded up: many small ones never add up to more than the ratio. */
  #cpuMicrosOf({ cpus, cpuKind }: Guest): number {
    return Math.ceil((cpus * MICROS_PER_CPU) / this.#cpuRatio[cpuKind])
  }

  utilisationOf(load: Load): Utilisation {
    const { cpuMicros, memoryMb, machines, volumeBytes } = this.limits
    return {
      cpu: part(load.cpuMicros, cpuMicros),
      memory: part(load.memoryMb, memoryMb),
      machines: part(load.machines, machines),
      volume: part(load.volumeBytes, volumeBytes),
    }
  }
}

/** A host that has none of something is full of it. */
const part = (used: number, limit: number) => (limit === 0 ? 1 : used / limit)

export function addLoad(a: Load, b: Load): Load {
  return {
    cpuMicros: a.cpuMicros + b.cpuMicros,
    memoryMb: a.memoryMb + b.memoryMb,
    machines: a.machines + b.machines,
    volumeBytes: a.volumeBytes + b.volumeBytes,
  }
}

export function subtractLoad(a: Load, b: Load): Load {
  return {
    cpuMicros: a.cpuMicros - b.cpuMicros,
    memoryMb: a.memoryMb - b.memoryMb,
    machines: a.machines - b.machines,
    volumeBytes: a.volumeBytes - b.volumeBytes,
  }
}

function checkPositive(ratios: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(ratios)) {
    if (!(value > 0 && value < Infinity)) throw capacityBad(name, value, 'a ratio is above 0')
  }
}

function checkCounts(counts: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(counts)) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw capacityBad(name, value, 'give a whole number, 0 or more')
    }
  }
}

function capacityBad(name: string, value: number, fix: string): MarketError {
  return new MarketError('market.capacity_bad', {
    what: 'not a capacity',
    values: { name, value },
    fix,
  })
}
