import type { SQLOutputValue } from 'node:sqlite'
import { ulidGenerator } from '#base'
import type { Accounts } from './accounts.ts'
import { requireApp } from './apps.ts'
import { badInput, notFound } from './errors.ts'
import type { Release, ReleaseStatus } from './release.ts'
import type { Store } from './store.ts'

const LIMIT = 25
const LIMIT_MAX = 1_000
/** Of each app; older ones go. */
const KEPT = 500
/** Of clients that do not say when they are heard of again: flyctl's deploys say no word between begin and end. */
const SILENCE_MS = 3_600_000
const TTL_MS_MAX = 86_400_000
const DEFINITION_BYTES_MAX = 1 << 20
const STATUSES: readonly ReleaseStatus[] = [
  'pending',
  'running',
  'complete',
  'failed',
  'interrupted',
]

/** As flaps names tokens. */
const SELECT = `SELECT releases.*, tokens.name AS created_by_name FROM releases
  LEFT JOIN tokens ON releases.created_by LIKE '%@tokens.internal' AND tokens.uuid = substr(releases.created_by, 1, 36)`

export const releaseReads = (store: Store): Pick<Accounts, 'releases' | 'appOfRelease'> => ({
  releases: (app, limit = LIMIT) =>
    store.database
      .prepare(`${SELECT} WHERE releases.app = ? ORDER BY version DESC LIMIT ?`)
      .all(requireApp(store, app).id, Math.max(0, Math.min(Math.trunc(limit), LIMIT_MAX)))
      .map((row) => releaseOf(row, store.clock.nowMs())),
  appOfRelease(id) {
    const row = store.database
      .prepare('SELECT apps.name FROM releases JOIN apps ON apps.id = app WHERE releases.id = ?')
      .get(id)
    return row && requireApp(store, String(row['name']))
  },
})

export const releaseWrites = (store: Store): Pick<Accounts, 'createRelease' | 'updateRelease'> => {
  const newId = ulidGenerator(store)
  return {
    createRelease({ who }, { app, image, strategy, definition }) {
      const { id } = requireApp(store, app)
      const text = JSON.stringify(definition)
      if (Buffer.byteLength(text) > DEFINITION_BYTES_MAX) {
        throw badInput(
          'a definition that is too large',
          { bytes: text.length },
          'shorten it to 1 MiB',
        )
      }
      const { last } = store.database
        .prepare('SELECT ifnull(max(version), 0) AS last FROM releases WHERE app = ?')
        .get(id) as { last: number }
      const version = last + 1
      const releaseId = `rel_${newId().toLowerCase()}`
      const nowMs = store.clock.nowMs()
      store.database
        .prepare(
          `INSERT INTO releases (id, app, version, status, strategy, image, definition, created_by, created_at_ms, updated_at_ms)
           VALUES (?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?)`,
        )
        .run(releaseId, id, version, strategy, image, text, who, nowMs, nowMs)
      store.database
        .prepare('DELETE FROM releases WHERE app = ? AND version <= ?')
        .run(id, version - KEPT)
      return requireRelease(store, id, releaseId)
    },
    updateRelease(_call, { app, id, status, error = '', ttlMs = SILENCE_MS }) {
      if (!STATUSES.includes(status)) {
        throw badInput('not a status of a release', { status }, `use ${STATUSES.join(', ')}`)
      }
      if (!(ttlMs > 0 && ttlMs <= TTL_MS_MAX)) {
        throw badInput('not a time until it is heard of again', { ttlMs }, 'use up to a day')
      }
      const { id: appId } = requireApp(store, app)
      const nowMs = store.clock.nowMs()
      store.database
        .prepare(
          'UPDATE releases SET status = ?, error = ?, updated_at_ms = ?, until_ms = ? WHERE app = ? AND id = ?',
        )
        .run(status, error, nowMs, nowMs + ttlMs, appId, id)
      return requireRelease(store, appId, id)
    },
  }
}

function requireRelease({ clock, database }: Store, app: number, id: string): Release {
  const row = database.prepare(`${SELECT} WHERE releases.app = ? AND id = ?`).get(app, id)
  if (row === undefined) throw notFound('release of this app', { id })
  return releaseOf(row, clock.nowMs())
}

/** One under way whose client was not heard of in time has died: it reads as interrupted until there is word of it. */
function outcomeOf(row: Record<string, SQLOutputValue>, nowMs: number) {
  const status = row['status'] as ReleaseStatus
  const updatedAtMs = Number(row['updated_at_ms'])
  const untilMs = Number(row['until_ms'] ?? updatedAtMs + SILENCE_MS)
  const isUnderWay = status === 'pending' || status === 'running'
  if (!isUnderWay || nowMs < untilMs) return { status, error: String(row['error']) }
  const error = `nothing was heard of its deploy since ${new Date(updatedAtMs).toISOString()}`
  return { status: 'interrupted', error } as const
}

const releaseOf = (row: Record<string, SQLOutputValue>, nowMs: number): Release => ({
  id: String(row['id']),
  version: Number(row['version']),
  ...outcomeOf(row, nowMs),
  strategy: String(row['strategy']),
  image: String(row['image']),
  definition: JSON.parse(String(row['definition'])),
  createdBy: String(row['created_by']),
  ...(typeof row['created_by_name'] === 'string' && { createdByName: row['created_by_name'] }),
  createdAtMs: Number(row['created_at_ms']),
  updatedAtMs: Number(row['updated_at_ms']),
})
