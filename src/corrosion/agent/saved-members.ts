import type { DatabaseSync } from 'node:sqlite'
import { actorIdBytes, parseActorId } from '../changes/actor-id.ts'
import type { Health, Rumour } from '../membership/member.ts'

const healths: readonly Health[] = ['alive', 'suspect', 'down']

/** Writes what is known of other nodes, so that a restart finds them again. */
export function saveMembers(
  database: DatabaseSync,
  members: readonly Rumour[],
  rttMs: (address: string) => number | undefined,
  nowMs: number,
): void {
  database.exec('BEGIN IMMEDIATE')
  try {
    database.exec('DELETE FROM __corro_members')
    const insert = database.prepare(`INSERT OR REPLACE INTO __corro_members VALUES (?, ?, ?, ?, ?)`)
    const updatedAt = new Date(nowMs).toISOString()
    for (const { identity, incarnation, health } of members) {
      const { id, address, renewedAt } = identity
      const state = JSON.stringify({ renewedAt, incarnation, health })
      const rtt = rttMs(address)
      insert.run(
        actorIdBytes(parseActorId(id)),
        address,
        state,
        rtt === undefined ? null : Math.round(rtt),
        updatedAt,
      )
    }
    database.exec('COMMIT')
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

/** Rows that cannot be read are left out: they come again by gossip. */
export function loadMembers(database: DatabaseSync): Rumour[] {
  const rows = database
    .prepare(`SELECT lower(hex(actor_id)) AS id, address, foca_state AS state FROM __corro_members`)
    .all() as unknown as { id: string; address: string; state: string }[]
  return rows.flatMap(({ id, address, state }) => {
    const { renewedAt, incarnation, health } = JSON.parse(state) as Record<string, unknown>
    const isWhole =
      typeof renewedAt === 'number' &&
      typeof incarnation === 'number' &&
      healths.includes(health as Health)
    if (!isWhole) return []
    return [{ identity: { id, address, renewedAt }, incarnation, health: health as Health }]
  })
}
