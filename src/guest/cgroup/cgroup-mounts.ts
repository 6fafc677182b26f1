/**
 * Where this host has its control groups: version 2 in one tree, or version 1 in a tree for each
 * controller. A hybrid host (version 2 without controllers beside version 1) counts as version 1.
 * Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { GuestError } from '../errors.ts'

export const controllers = ['cpu', 'cpuacct', 'memory', 'pids', 'freezer', 'devices'] as const
export type Controller = (typeof controllers)[number]

export type CgroupMounts =
  | { readonly version: 2; readonly root: string }
  | {
      readonly version: 1
      readonly roots: Readonly<Record<Controller, string>>
      /** Hierarchies that nothing here uses, but in which runc makes a group, too. */
      readonly others: readonly string[]
    }

let known: CgroupMounts | undefined

/** Looked up once: mounts of control groups do not change while a host runs. @throws GuestError guest.host_unable */
export function cgroupMounts(): CgroupMounts {
  known ??= parseCgroupMounts(
    readFileSync('/proc/self/mountinfo', 'utf8'),
    (root) => existsSync(join(root, 'cgroup.controllers')) && hasControllers(root),
  )
  return known
}

function hasControllers(root: string): boolean {
  const has = readFileSync(join(root, 'cgroup.controllers'), 'utf8').split(/\s+/)
  return ['cpu', 'memory', 'pids'].every((name) => has.includes(name))
}

/** @param mountInfo as in proc_pid_mountinfo(5) */
export function parseCgroupMounts(
  mountInfo: string,
  isComplete: (root: string) => boolean,
): CgroupMounts {
  const roots: Partial<Record<Controller, string>> = {}
  const all: string[] = []
  for (const line of mountInfo.split('\n')) {
    const [head = '', tail = ''] = line.split(' - ')
    const mountPoint = head.split(' ')[4] ?? ''
    const [type, , options = ''] = tail.split(' ')
    if (type === 'cgroup2' && isComplete(mountPoint)) return { version: 2, root: mountPoint }
    if (type === 'cgroup' || type === 'cgroup2') all.push(mountPoint)
    if (type !== 'cgroup') continue
    const has = options.split(',')
    for (const name of controllers) if (has.includes(name)) roots[name] ??= mountPoint
  }
  const missing = controllers.filter((name) => roots[name] === undefined)
  if (missing.length === 0) {
    const used = new Set(Object.values(roots))
    const others = all.filter((root) => !used.has(root))
    return { version: 1, roots: roots as Readonly<Record<Controller, string>>, others }
  }
  throw new GuestError('guest.host_unable', {
    what: 'this host has no control groups that could hold a guest',
    values: { missing },
    fix: 'mount cgroup2 at /sys/fs/cgroup',
  })
}
