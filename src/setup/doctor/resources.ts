import { statfs } from 'node:fs/promises'
import { availableParallelism, cpus, freemem, totalmem } from 'node:os'
import type { Probe } from './probe.ts'

const GIB = 2 ** 30
/** Three regions, their daemons and a demo app fit into these. */
const CORES_MIN = 2
const MEMORY_FREE_GIB_MIN = 2
const DISK_FREE_GIB_MIN = 5

export const resources: Probe = {
  name: 'CPU, memory, disk',
  required: false,
  needsRoot: false,
  deadlineMs: 5_000,
  async examine({ stateFolder }) {
    const cores = availableParallelism()
    const memoryFree = freemem() / GIB // MemAvailable, where libuv finds it
    const disk = await statfs(stateFolder)
    const diskFree = (disk.bavail * disk.bsize) / GIB
    const model = cpus()[0]?.model.trim() ?? 'unknown processor'
    const detail = `${cores} x ${model}, memory ${memoryFree.toFixed(1)} of ${(totalmem() / GIB).toFixed(1)} GiB free, disk ${diskFree.toFixed(0)} GiB free`
    const short: string[] = []
    if (cores < CORES_MIN) short.push(`${CORES_MIN} cores`)
    if (memoryFree < MEMORY_FREE_GIB_MIN) short.push(`${MEMORY_FREE_GIB_MIN} GiB of free memory`)
    if (diskFree < DISK_FREE_GIB_MIN) short.push(`${DISK_FREE_GIB_MIN} GiB of free disk`)
    if (short.length === 0) return { state: 'ok', detail }
    return {
      state: 'degraded',
      detail,
      consequence: 'a planet of three regions is slow here or runs out of room',
      fix: `have at least ${short.join(' and ')}`,
    }
  },
}
