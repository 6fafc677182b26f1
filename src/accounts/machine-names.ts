import { inTransaction } from './database.ts'
import type { MachineNameClaims } from './machine-name.ts'
import type { Store } from './store.ts'

/** One transaction each, so that of any number of processes with this database one is first. */
export function machineNameClaims({ database, clock }: Store): MachineNameClaims {
  return {
    claimMachineName: ({ app, name, machine, ttlMs }) =>
      inTransaction(database, () => {
        const nowMs = clock.nowMs()
        database.prepare('DELETE FROM machine_names WHERE until_ms <= ?').run(nowMs)
        database
          .prepare('INSERT INTO machine_names VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING')
          .run(app, name, machine, nowMs + ttlMs)
        const row = database
          .prepare('SELECT machine FROM machine_names WHERE app = ? AND name = ?')
          .get(app, name)
        return String(row?.['machine'])
      }),
    releaseMachineName: ({ app, name, machine }) =>
      database
        .prepare('DELETE FROM machine_names WHERE app = ? AND name = ? AND machine = ?')
        .run(app, name, machine).changes > 0,
  }
}
