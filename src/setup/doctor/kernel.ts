import { release } from 'node:os'
import type { Probe } from './probe.ts'

/** 5.10 is the oldest kernel of a supported Debian, and has what our eBPF programs use. */
const OLDEST = [5, 10] as const

export const kernel: Probe = {
  name: 'kernel',
  required: false,
  needsRoot: false,
  deadlineMs: 1_000,
  async examine() {
    const detail = `Linux ${release()}`
    if (!isOlder(release())) return { state: 'ok', detail }
    return {
      state: 'degraded',
      detail,
      consequence: 'nothing is tested on kernels this old',
      fix: `boot Linux ${OLDEST.join('.')} or newer`,
    }
  },
}

/** @param version `uname -r`. */
export function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split(/[.-]/).map(Number)
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])
}
