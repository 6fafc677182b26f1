import type { DatabaseSync } from 'node:sqlite'
import type { Accounts } from '#accounts'
import type { Statement } from './app-rows.ts'

/**
 * What makes the rows of `certs` ask for what the accounts want: a name that has no row gets one, which says that a
 * certificate is wanted; edges of the proxy write their own with what they got, or take this one where they are on the
 * same host. A name that an app gave up loses all rows, the edges' too, which would renew it for ever. Names of no app are the
 * platform's own, and left alone.
 */
export function certificateChanges(
  accounts: Accounts,
  database: DatabaseSync,
  hostId: string,
): Map<string, Statement> {
  const wanted = new Map<string, { appId: string; createdAtMs: number }>()
  for (const { slug } of accounts.organizations()) {
    for (const { id, name } of accounts.apps(slug)) {
      for (const { hostname, createdAtMs } of accounts.hostnames(name)) {
        wanted.set(hostname, { appId: String(id), createdAtMs })
      }
    }
  }
  const stored = database
    .prepare(`SELECT DISTINCT hostname, app_id FROM certs WHERE app_id <> ''`)
    .all()
    .map((row) => ({ hostname: String(row['hostname']), appId: String(row['app_id']) }))
  const found = new Map<string, Statement>()
  for (const { hostname, appId } of stored) {
    if (wanted.get(hostname)?.appId === appId) wanted.delete(hostname)
    else found.set(`certs ${hostname} ${appId}`, [REMOVE, [hostname, appId]])
  }
  for (const [hostname, { appId, createdAtMs }] of wanted) {
    found.set(`certs ${hostname}`, [WANT, [hostname, hostId, appId, createdAtMs]])
  }
  return found
}

const REMOVE = 'DELETE FROM certs WHERE hostname = ? AND app_id = ?'
const WANT = `INSERT INTO certs (hostname, host_id, app_id, updated_at) VALUES (?, ?, ?, ?)
  ON CONFLICT (hostname, host_id) DO UPDATE SET app_id = excluded.app_id`
