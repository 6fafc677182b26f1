/** For tests: what machines leave on a host. */
import { globSync, readFileSync } from 'node:fs'
import type { MachineId } from '#base'
import { Cgroup } from './cgroup/cgroup.ts'

/**
 * Control groups of these machines, and mounts, loop devices and processes that name the folder of their
 * files. A control group cannot go while a process lives in it, so no group means no process inside.
 */
export function tracesOnHost(ids: readonly MachineId[], folder: string): string[] {
  const groups = ids.flatMap((id) => globSync(`/sys/fs/cgroup{,/*}${new Cgroup(id).path}`))
  return [
    ...groups,
    ...linesOf('/proc/self/mounts').filter((line) => line.includes(folder)),
    ...globSync('/sys/block/loop*/loop/backing_file').filter((path) => names(path, folder)),
    ...globSync('/proc/[0-9]*/cmdline').filter((path) => names(path, folder)),
  ]
}

const names = (path: string, folder: string) => linesOf(path).some((line) => line.includes(folder))

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch {
    return [] // it went meanwhile
  }
}
