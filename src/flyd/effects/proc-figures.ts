/**
 * Files of a machine's /proc as figures, named as Fly documents them. They are written by a guest, which may write
 * anything: what is no number is left out. Source: proc(5); Linux, Documentation/admin-guide/iostats.rst.
 */
import type { Figure } from '#observe'

const KIB = 1024
/** Devices, interfaces, CPUs of one machine that are told. */
const ROWS_MAX = 256

const MEMORY = {
  ...{ MemTotal: 'mem_total', MemFree: 'mem_free', MemAvailable: 'mem_available' },
  ...{ Buffers: 'buffers', Cached: 'cached', SwapCached: 'swap_cached', Active: 'active' },
  ...{ Inactive: 'inactive', SwapTotal: 'swap_total', SwapFree: 'swap_free', Dirty: 'dirty' },
  ...{ Writeback: 'writeback', Slab: 'slab', Shmem: 'shmem', VmallocTotal: 'vmalloc_total' },
  ...{ VmallocUsed: 'vmalloc_used', VmallocChunk: 'vmalloc_chunk' },
} as const

export function memoryFigures(meminfo: string): Figure[] {
  return Object.entries(MEMORY).flatMap(([key, name]) => {
    const [, kib] = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(meminfo) ?? []
    return kib === undefined ? [] : [gauge(`fly_instance_memory_${name}`, Number(kib) * KIB)]
  })
}

const CPU_MODES = [
  ...['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal'],
  ...['guest', 'guest_nice'],
] as const

/** In hundredths of a second, which the kernel counts in too. */
export function cpuFigures(stat: string): Figure[] {
  return rowsOf(stat).flatMap(([first = '', ...counts]) => {
    const [, cpu] = /^cpu(\d+)$/.exec(first) ?? []
    if (cpu === undefined) return []
    return CPU_MODES.flatMap((mode, index) =>
      counter('fly_instance_cpu', counts[index], { cpu_id: cpu, mode }),
    )
  })
}

export function loadFigures(loadavg: string): Figure[] {
  const [row = []] = rowsOf(loadavg)
  return ['1', '5', '15'].flatMap((minutes, index) => {
    const value = Number(row[index] ?? Number.NaN)
    return Number.isFinite(value) ? [gauge('fly_instance_load_average', value, { minutes })] : []
  })
}

const DISK_COUNTS = [
  ...['reads_completed', 'reads_merged', 'sectors_read', 'time_reading', 'writes_completed'],
  ...['writes_merged', 'sectors_written', 'time_writing', 'io_in_progress', 'time_io'],
  'time_io_weighted',
] as const

/** Of the machine's own disks, not of memory that looks like one. */
export function diskFigures(diskstats: string): Figure[] {
  return rowsOf(diskstats).flatMap(([, , device = '', ...counts]) => {
    if (!/^vd[a-z]{1,2}$/.test(device)) return []
    return DISK_COUNTS.flatMap((name, index) => {
      const of = name === 'io_in_progress' ? whole : counter
      return of(`fly_instance_disk_${name}`, counts[index], { device })
    })
  })
}

const NET_COUNTS = [
  ...['recv_bytes', 'recv_packets', 'recv_errs', 'recv_drop', 'recv_fifo', 'recv_frame'],
  ...['recv_compressed', 'recv_multicast', 'sent_bytes', 'sent_packets', 'sent_errs'],
  ...['sent_drop', 'sent_fifo', 'sent_colls', 'sent_carrier', 'sent_compressed'],
] as const

export function netFigures(dev: string): Figure[] {
  return dev.split('\n', ROWS_MAX).flatMap((line) => {
    const [, device = '', rest = ''] = /^\s*([^\s:]{1,32}):\s*(.*)$/.exec(line) ?? []
    if (device === '' || device === 'lo') return []
    const counts = rest.split(/\s+/)
    return NET_COUNTS.flatMap((name, index) =>
      counter(`fly_instance_net_${name}`, counts[index], { device }),
    )
  })
}

export function fileFigures(fileNr: string): Figure[] {
  const [[allocated, , maximum] = []] = rowsOf(fileNr)
  return [
    ...whole('fly_instance_filefd_allocated', allocated),
    ...whole('fly_instance_filefd_maximum', maximum),
  ]
}

const rowsOf = (text: string): string[][] =>
  text
    .split('\n', ROWS_MAX)
    .map((line) => line.trim().split(/\s+/))
    .filter(([first]) => first !== '')

type LabelsOf = Figure['labels']

export const gauge = (name: string, value: number, labels?: LabelsOf): Figure => ({
  ...{ name, type: 'gauge', value },
  ...(labels === undefined ? {} : { labels }),
})

const isCount = (text: string | undefined): text is string => /^\d{1,20}$/.test(text ?? '')

function whole(name: string, text: string | undefined, labels?: LabelsOf): Figure[] {
  return isCount(text) ? [gauge(name, Number(text), labels)] : []
}

function counter(name: string, text: string | undefined, labels: LabelsOf): Figure[] {
  return isCount(text) ? [{ ...gauge(name, Number(text), labels), type: 'counter' }] : []
}
