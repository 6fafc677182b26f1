import { readFile } from 'node:fs/promises'
import type { Probe, Verdict } from './probe.ts'

export interface CgroupLayout {
  /** v2: one tree. hybrid: v1 controllers beside a v2 tree without them. none: not mounted. */
  readonly version: 'v1' | 'v2' | 'hybrid' | 'none'
  readonly controllers: readonly string[]
}

export const cgroups: Probe = {
  name: 'cgroups',
  required: false,
  needsRoot: false,
  deadlineMs: 2_000,
  async examine() {
    const mounts = await readFile('/proc/self/mountinfo', 'utf8')
    const available = await readFile('/sys/fs/cgroup/cgroup.controllers', 'utf8').catch(() => '')
    return judgeCgroups(readLayout(mounts, available)) // the file is there under v2 alone
  },
}

/** @param mountInfo /proc/self/mountinfo. @param v2Controllers cgroup.controllers of the v2 root. */
export function readLayout(mountInfo: string, v2Controllers: string): CgroupLayout {
  const v1 = new Set<string>()
  let unified = false
  for (const line of mountInfo.split('\n')) {
    const [, described = ''] = line.split(' - ') // type, source, superblock options: proc(5)
    const [type, , options = ''] = described.split(' ')
    if (type === 'cgroup2') unified = true
    if (type === 'cgroup') for (const option of options.split(',')) v1.add(option)
  }
  const known = [...v1].filter((option) => /^[a-z_]+$/.test(option) && !/^(rw|ro)$/.test(option))
  if (known.length > 0) return { version: unified ? 'hybrid' : 'v1', controllers: known.sort() }
  const controllers = v2Controllers.trim().split(/\s+/).filter(Boolean).sort()
  return { version: unified ? 'v2' : 'none', controllers }
}

/** v1's name, v2's name: each limits one thing that a machine's size promises. */
const needed = [
  ['cpu', 'cpu'],
  ['memory', 'memory'],
  ['pids', 'pids'],
  ['blkio', 'io'],
] as const

export function judgeCgroups({ version, controllers }: CgroupLayout): Verdict {
  const absent = needed
    .filter((names) => !names.some((name) => controllers.includes(name)))
    .map((names) => names[version === 'v2' ? 1 : 0])
  const detail = `${version}: ${controllers.join(' ') || 'no controllers'}`
  if (version !== 'none' && absent.length === 0) return { state: 'ok', detail }
  return {
    state: version === 'none' ? 'missing' : 'degraded',
    detail,
    consequence: `machines run without limits on ${absent.join(', ')}`,
    fix:
      version === 'none'
        ? 'mount -t cgroup2 cgroup2 /sys/fs/cgroup'
        : 'use a kernel and a boot line that enable these controllers',
  }
}
