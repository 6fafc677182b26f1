import type { Accounts } from './accounts.ts'
import { badInput } from './errors.ts'
import type { Store } from './store.ts'
import type { Revocation } from './token.ts'

const PAGE = 10_000

export const revocationReads = ({ database }: Store): Pick<Accounts, 'revocationsAfter'> => ({
  revocationsAfter: (sequence) =>
    database
      .prepare('SELECT * FROM revocations WHERE sequence > ? ORDER BY sequence LIMIT ?')
      .all(sequence, PAGE)
      .map(revocationOf),
})

export const revocationWrites = (store: Store): Pick<Accounts, 'revokeToken'> => ({
  /** Also of a token that is not listed: whoever found one must be able to stop it. */
  revokeToken(_call, { uuid }) {
    if (!UUID.test(uuid)) {
      throw badInput('not a token id', { uuid }, 'godwit tokens list and inspect show ids')
    }
    return revoke(store, uuid)
  },
})

export function revokeTokensOf(store: Store, appId: number): void {
  const rows = store.database.prepare('SELECT uuid FROM tokens WHERE app_id = ?').all(appId)
  for (const { uuid } of rows) revoke(store, String(uuid))
}

export function revokeTokensOfOrganization(store: Store, organization: number): void {
  const rows = store.database
    .prepare('SELECT uuid FROM tokens WHERE organization = ?')
    .all(organization)
  for (const { uuid } of rows) revoke(store, String(uuid))
}

/** What somebody got by logging in. */
export function revokeLoginsOf(store: Store, who: { user: number; organization: number }): void {
  const rows = store.database
    .prepare('SELECT uuid FROM tokens WHERE user = ? AND organization = ?')
    .all(who.user, who.organization)
  for (const { uuid } of rows) revoke(store, String(uuid))
}

function revoke({ database, clock }: Store, uuid: string): Revocation {
  database
    .prepare('INSERT INTO revocations (uuid, revoked_at_ms) VALUES (?, ?) ON CONFLICT DO NOTHING')
    .run(uuid, clock.nowMs())
  const row = database.prepare('SELECT * FROM revocations WHERE uuid = ?').get(uuid)
  return revocationOf(row ?? {})
}

const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/

const revocationOf = (row: Record<string, unknown>): Revocation => ({
  sequence: Number(row['sequence']),
  uuid: String(row['uuid']),
  revokedAtMs: Number(row['revoked_at_ms']),
})
