import { randomUUID } from 'node:crypto'
import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { type ActorId, actorIdBytes, parseActorId } from '../changes/actor-id.ts'
import { CorrosionError } from '../errors.ts'
import { Store } from './store.ts'

/**
 * Writes a whole copy of a database, while it is in use or not. The copy is complete in itself.
 * @throws CorrosionError corrosion.file_exists, and what SQLite says
 */
export function backup(path: string, target: string): void {
  if (existsSync(target)) {
    throw new CorrosionError('corrosion.file_exists', {
      what: 'output file already exists',
      values: { file: target },
      fix: 'name a file that does not exist yet',
    })
  }
  const database = new DatabaseSync(path, { readOnly: true, timeout: 30_000 })
  try {
    database.prepare(`VACUUM INTO ?`).run(target)
  } finally {
    database.close()
  }
}

/**
 * Puts a backup in the place of a node's database; no agent may have that open. The node goes on from the backup's
 * rows under an id of its own, for an id that two nodes write under would make their versions meet.
 * @param actorId @default a new one
 * @returns the node's id
 */
export function restore(source: string, path: string, actorId?: ActorId): ActorId {
  const draft = `${path}.restore`
  const actor = actorId ?? parseActorId(randomUUID())
  try {
    copyFileSync(source, draft)
    // What its node wrote last is worked out while it still goes by that node's id.
    new Store({ path: draft, now: () => 0n }).close()
    adopt(draft, actor)
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true })
    renameSync(draft, path)
  } finally {
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${draft}${suffix}`, { force: true })
  }
  return actor
}

function adopt(path: string, actor: ActorId): void {
  const database = new DatabaseSync(path)
  try {
    database.exec('BEGIN IMMEDIATE')
    const known = database
      .prepare(`SELECT ordinal FROM crsql_site_id WHERE site_id = ?`)
      .get(actorIdBytes(actor))
    const next = database.prepare(`SELECT max(ordinal) + 1 AS next FROM crsql_site_id`).get()
    const ordinal = (known?.['ordinal'] ?? next?.['next']) as number
    if (known === undefined) {
      database.prepare(`INSERT INTO crsql_site_id VALUES (?, ?)`).run(ordinal, actorIdBytes(actor))
    }
    database.prepare(`INSERT OR REPLACE INTO crsql_master VALUES ('self', ?)`).run(ordinal)
    database.exec('DELETE FROM __corro_members; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)')
  } finally {
    database.close()
  }
}
