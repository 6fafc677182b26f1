import { readFileSync, writeFileSync } from 'node:fs'

const MIB_PER_KIB = 1 / 1_024

/** Resident memory of a process, now and at its highest, MiB. Source: proc(5), VmRSS and VmHWM. */
export function memoryOf(pid: number): { rssMib: number; peakMib: number } {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  const read = (name: string) => {
    const kib = text.match(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm'))?.[1]
    return Number(kib) * MIB_PER_KIB
  }
  return { rssMib: read('VmRSS'), peakMib: read('VmHWM') }
}

/** The highest from now on. Source: proc(5), clear_refs. */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}
