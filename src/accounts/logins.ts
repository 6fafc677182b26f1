import { hash } from 'node:crypto'
import type { SQLOutputValue } from 'node:sqlite'
import type { Accounts, AccountsWrites } from './accounts.ts'
import { inTransaction } from './database.ts'
import { AccountsError, notFound } from './errors.ts'
import type { Login, Logins } from './login.ts'
import type { Store } from './store.ts'

const SECRET_BYTES = 24
const CODE_CHARS = 8
/** Nothing that is read as something else, and no vowels, so that no words come out. */
const CODE_LETTERS = 'BCDFGHJKLMNPQRSTVWXZ23456789'
const LIVE_MS = 15 * 60_000
/** Nobody is asked who they are before: more would be somebody's mischief. */
const PENDING_MAX = 1_000
const NAME_CHARS_MAX = 64
/** As long as the client of the original takes a login for good. */
export const LOGIN_TOKEN_S = 30 * 86_400

export const loginReads = (store: Store): Pick<Accounts, 'logins'> => ({
  logins() {
    const rows = store.database
      .prepare('SELECT * FROM logins WHERE until_ms > ? ORDER BY until_ms')
      .all(store.clock.nowMs())
    return rows.map(loginOf)
  },
})

export const loginWrites = (store: Store): Pick<Accounts, 'confirmLogin'> => ({
  confirmLogin(_call, { code, email }) {
    const user = store.database
      .prepare(
        `SELECT users.id FROM users JOIN members ON members.user = users.id
         WHERE email = ? LIMIT 1`,
      )
      .get(email)
    if (user === undefined) {
      const fix = 'make them one with: godwit orgs members add <email> --org <slug>'
      throw notFound('member of any organisation', { email }, fix)
    }
    const { changes } = store.database
      .prepare('UPDATE logins SET user = ? WHERE code = ? AND until_ms > ?')
      .run(Number(user['id']), code.toUpperCase(), store.clock.nowMs())
    if (changes > 0) return
    throw notFound('login that waits', { code }, 'begin again: a login waits for 15 minutes')
  },
})

/**
 * Logins that wait to be confirmed: facts of nobody, in no audit log until somebody confirms. The secret is kept as
 * its digest alone.
 *
 * @param createToken as accounts have it, with its entry in the log
 */
export function loginSessions(store: Store, createToken: AccountsWrites['createToken']): Logins {
  const { database, clock, random } = store
  return {
    beginLogin({ name }) {
      const secret = Buffer.from(random.bytes(SECRET_BYTES)).toString('base64url')
      const letters = Array.from({ length: CODE_CHARS }, () =>
        CODE_LETTERS.charAt(random.int(CODE_LETTERS.length)),
      )
      const code = `${letters.slice(0, 4).join('')}-${letters.slice(4).join('')}`
      inTransaction(database, () => {
        const nowMs = clock.nowMs()
        database.prepare('DELETE FROM logins WHERE until_ms <= ?').run(nowMs)
        const { count } = database.prepare('SELECT count(*) AS count FROM logins').get() as {
          count: number
        }
        if (count >= PENDING_MAX) {
          throw new AccountsError('accounts.logins_full', {
            what: 'too many logins wait to be confirmed',
            values: { limit: PENDING_MAX },
            fix: 'try again in some minutes',
          })
        }
        database
          .prepare('INSERT INTO logins (secret_hash, code, name, until_ms) VALUES (?, ?, ?, ?)')
          .run(hash('sha256', secret), code, name.slice(0, NAME_CHARS_MAX), nowMs + LIVE_MS)
      })
      return { secret, code }
    },
    redeemLogin(call, secret) {
      const found = inTransaction(database, () => {
        const row = database
          .prepare(
            `SELECT logins.name, users.id AS user, email FROM logins JOIN users ON users.id = user
             WHERE secret_hash = ? AND until_ms > ?`,
          )
          .get(hash('sha256', secret), clock.nowMs())
        if (row === undefined) return undefined
        database.prepare('DELETE FROM logins WHERE secret_hash = ?').run(hash('sha256', secret))
        return row
      })
      if (found === undefined) return undefined
      const email = String(found['email'])
      const slugs = database
        .prepare(
          `SELECT slug FROM organizations JOIN members ON members.organization = organizations.id
           WHERE members.user = ? ORDER BY slug`,
        )
        .all(Number(found['user']))
      const tokens = slugs.map(({ slug }) => {
        const input = { organization: String(slug), profile: 'org', user: email } as const
        const name = `login of ${String(found['name'])}`
        return createToken(call, { ...input, name, expiresInS: LOGIN_TOKEN_S })
      })
      const texts = tokens.map(({ header }) => header.replace(/^FlyV1 /, ''))
      return texts.length === 0 ? undefined : `FlyV1 ${texts.join(',')}`
    },
  }
}

const loginOf = (row: Record<string, SQLOutputValue>): Login => ({
  code: String(row['code']),
  name: String(row['name']),
  isConfirmed: row['user'] !== null,
  untilMs: Number(row['until_ms']),
})
