import { readdirSync, readFileSync } from 'node:fs'
import { type ProcessIdentity, parseStat } from './process-identity.ts'

export interface GroupMember extends ProcessIdentity {
  readonly parent: number
}

/** The living processes of a group. Source: proc(5), stat fields 4 and 5. */
export function groupMembers(group: number): GroupMember[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const found = parseStat(Number(name), readFileSync(`/proc/${name}/stat`, 'utf8'))
      return found?.group === group ? [found] : []
    } catch {
      return [] // ENOENT or ESRCH: it ended
    }
  })
}
