import { availableParallelism, totalmem } from 'node:os'
import { CapacityBook } from '#market'
import type { FlydConfig } from './flyd-config.ts'

const GB = 2 ** 30
/** What the host keeps of its memory for itself. */
const HOST_MEMORY_RATIO = 0.1

/** What this host may promise. */
export function bookOf({ capacity, pool }: FlydConfig): CapacityBook {
  return new CapacityBook({
    capacity: {
      cpus: cpusOf(capacity),
      memoryMb: memoryMbOf(capacity),
      cpuRatio: { shared: capacity.shared_ratio, performance: capacity.performance_ratio },
      memoryRatio: capacity.memory_ratio,
      machinesMax: capacity.machines_max,
      volumeBytes: pool.size_gb * GB,
      volumeRatio: capacity.volume_ratio,
    },
  })
}

/** Hardware threads. */
export const cpusOf = ({ cpus }: FlydConfig['capacity']) => cpus ?? availableParallelism()

export const memoryMbOf = ({ memory_mb: memoryMb }: FlydConfig['capacity']) =>
  memoryMb ?? Math.floor((totalmem() / 2 ** 20) * (1 - HOST_MEMORY_RATIO))
