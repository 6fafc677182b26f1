import { hash } from 'node:crypto'
import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { type Clock, errorCode } from '#base'
import type { AuditEntry, AuditQuery } from './audit-entry.ts'
import type { Call } from './call.ts'
import { inTransaction } from './database.ts'

const LIMIT = 100
const LIMIT_MAX = 1_000
const TEXT_CHARS_MAX = 256

/** Who did what, when, and what came of it. Grows only; each entry holds a digest of all before. */
export class AuditLog {
  readonly #database: DatabaseSync
  readonly #clock: Clock

  constructor(database: DatabaseSync, clock: Clock) {
    this.#database = database
    this.#clock = clock
  }

  append(call: Call, operation: string, input: object, result: string): void {
    const former = this.#database.prepare('SELECT chain FROM audit ORDER BY sequence DESC').get()
    const row = [
      this.#clock.nowMs(),
      bounded(call.who),
      bounded(call.requestId),
      operation,
      JSON.stringify(targetOf(input)),
      result,
    ] as const
    this.#database
      .prepare(
        `INSERT INTO audit (at_ms, who, request_id, operation, target, result, chain)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(...row, chainOf(String(former?.['chain'] ?? ''), row))
  }

  query(query: AuditQuery): AuditEntry[] {
    const { organization, app, who, operation, sinceMs, limit = LIMIT } = query
    const conditions: [string, SQLInputValue | undefined][] = [
      [`target ->> 'organization' = ?`, organization],
      [`target ->> 'app' = ?`, app],
      ['who = ?', who],
      ['operation = ?', operation],
      ['at_ms >= ?', sinceMs],
    ]
    const asked = conditions.filter(([, value]) => value !== undefined)
    const where = asked.length === 0 ? '' : `WHERE ${asked.map(([sql]) => sql).join(' AND ')}`
    const values = asked.map(([, value]) => value ?? null)
    return this.#database
      .prepare(`SELECT * FROM audit ${where} ORDER BY sequence DESC LIMIT ?`)
      .all(...values, Math.max(0, Math.min(Math.trunc(limit), LIMIT_MAX)))
      .map((row) => ({
        sequence: Number(row['sequence']),
        atMs: Number(row['at_ms']),
        who: String(row['who']),
        requestId: String(row['request_id']),
        operation: String(row['operation']),
        target: JSON.parse(String(row['target'])),
        result: String(row['result']),
      }))
  }

  /** The sequence of the first entry whose digest is not that of what stands there. */
  damage(): number | undefined {
    let former = ''
    for (const row of this.#database.prepare('SELECT * FROM audit ORDER BY sequence').iterate()) {
      const { at_ms, who, request_id, operation, target, result, chain } = row
      former = chainOf(former, [at_ms, who, request_id, operation, target, result])
      if (former !== chain) return Number(row['sequence'])
    }
    return undefined
  }
}

/**
 * Each method of `writes` as one transaction with its entry; a failure is rolled back, and leaves an
 * entry with the error's code. A write that is in the table can't forget its entry.
 */
export function audited<Writes extends object>(
  writes: Writes,
  database: DatabaseSync,
  log: AuditLog,
): Writes {
  const wrapped = Object.entries(writes).map(([operation, write]) => {
    const run = (call: Call, input: object): unknown => {
      try {
        return inTransaction(database, () => {
          const result: unknown = write(call, input)
          log.append(call, operation, input, 'ok')
          return result
        })
      } catch (error) {
        const result = errorCode(error) ?? 'internal'
        inTransaction(database, () => log.append(call, operation, input, result))
        throw error
      }
    }
    return [operation, run]
  })
  return Object.fromEntries(wrapped) as Writes
}

/** What an entry may show of an input. Anything else may be a secret. */
// biome-ignore format: a table
const SHOWN: ReadonlySet<string> = new Set([
  'slug', 'organization', 'app', 'network', 'email', 'role', 'ip', 'kind', 'region', 'kid', 'uuid',
  'profile', 'name', 'gateway', 'machine', 'host', 'expiresInS', 'id', 'status', 'strategy', 'image',
  'type', 'hostname', 'user',
])

function targetOf(input: object): Record<string, unknown> {
  const target: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(input)) {
    if (name === 'values') target['secrets'] = Object.keys(value ?? {}).map(bounded)
    else if (SHOWN.has(name) && value !== undefined) {
      target[name === 'slug' ? 'organization' : name] =
        typeof value === 'number' ? value : bounded(String(value))
    }
  }
  return target
}

const bounded = (text: string) => text.slice(0, TEXT_CHARS_MAX)

const chainOf = (former: string, row: readonly unknown[]) =>
  hash('sha256', JSON.stringify([former, ...row]))
