import { globSync, readFileSync } from 'node:fs'
import { MEMORY_MIB } from './our-machines.ts'

const KIB_IN_MIB = 1024

/**
 * What a QEMU holds of the host's memory beside the guest's RAM, in MiB: its share of every mapping but the
 * one that is as large as the RAM. Source: proc_pid_smaps(5).
 *
 * @param id of the machine, whose control group has one process
 */
export function overheadMib(id: string): number {
  const [group] = globSync(`/sys/fs/cgroup/{pids/,}godwit/${id}/cgroup.procs`)
  if (group === undefined) throw new Error('the machine has no control group')
  const smaps = readFileSync(`/proc/${readFileSync(group, 'utf8').trim()}/smaps`, 'utf8')
  const mappings = smaps.split(/^(?=[\da-f]+-[\da-f]+ )/m)
  const fieldOf = (mapping: string, name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(mapping)?.[1] ?? 0)
  const others = mappings.filter((one) => fieldOf(one, 'Size') !== MEMORY_MIB * KIB_IN_MIB)
  return others.reduce((sum, one) => sum + fieldOf(one, 'Pss'), 0) / KIB_IN_MIB
}
