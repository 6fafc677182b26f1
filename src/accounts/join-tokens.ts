import { createHash, timingSafeEqual } from 'node:crypto'
import type { SQLOutputValue } from 'node:sqlite'
import type { Accounts } from './accounts.ts'
import { AccountsError, badInput, notFound } from './errors.ts'
import type { JoinToken } from './join-token.ts'
import type { Store } from './store.ts'

type Reads = 'joinTokens' | 'joinToken'
type Writes = 'createJoinToken' | 'revokeJoinToken' | 'useJoinToken' | 'removeHost'

/** Whoever has one is let into the cluster: they are for the hour in which a server is set up. */
const TTL_MS_MAX = 7 * 86_400_000
const USES_MAX = 100
const SECRET_BYTES = 32
const ID_BYTES = 8
const HOST = /^[A-Za-z0-9_-]{1,64}$/
const REGION = /^[a-z0-9-]{1,32}$/

export const joinTokenReads = (store: Store): Pick<Accounts, Reads> => ({
  joinTokens: () =>
    store.database
      .prepare('SELECT * FROM join_tokens ORDER BY created_at_ms DESC, id')
      .all()
      .map((row) => tokenOf(store, row)),
  joinToken(id, secret) {
    const row = store.database.prepare('SELECT * FROM join_tokens WHERE id = ?').get(id)
    if (row === undefined) return undefined
    const digest = row['secret_digest'] as Uint8Array
    return timingSafeEqual(digest, digestOf(secret)) ? tokenOf(store, row) : undefined
  },
})

export const joinTokenWrites = (store: Store): Pick<Accounts, Writes> => ({
  createJoinToken(call, input) {
    const { region, host, ip, replaces = false, usesMax = 1, ttlMs } = input
    const roles = [...new Set(input.roles)]
    if (roles.length === 0 || roles.some((role) => role !== 'worker' && role !== 'edge')) {
      throw badInput(
        'a host that joins is a worker, an edge, or both',
        { roles: roles.join(' ') },
        'gateways and the host of NATS are founded: docs/operate.md',
      )
    }
    if (!REGION.test(region))
      throw badInput('not a region', { region }, 'use letters, digits and -')
    if (host !== undefined && !HOST.test(host)) {
      throw badInput('not the name of a host', { host }, 'use up to 64 letters, digits, - and _')
    }
    if (!(ttlMs > 0 && ttlMs <= TTL_MS_MAX)) {
      throw badInput(
        'a token for joining lives between a moment and 7 days',
        { ttlMs },
        'use --ttl 1h',
      )
    }
    if (!Number.isInteger(usesMax) || usesMax < 1 || usesMax > USES_MAX) {
      throw badInput(`a token lets 1 to ${USES_MAX} hosts join`, { usesMax }, 'use --uses 1')
    }
    if ((replaces || ip !== undefined) && (host === undefined || usesMax !== 1)) {
      throw badInput(
        'a token for one address, or in place of a dead host, is for one host',
        {},
        'give --name, and no --uses',
      )
    }
    const id = Buffer.from(store.random.bytes(ID_BYTES)).toString('hex')
    const secret = Buffer.from(store.random.bytes(SECRET_BYTES)).toString('base64url')
    const nowMs = store.clock.nowMs()
    const row = store.database
      .prepare(
        `INSERT INTO join_tokens (id, secret_digest, roles, region, host, ip, replaces, uses_max, created_by,
           created_at_ms, expires_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *`,
      )
      .get(
        ...[id, digestOf(secret), roles.join(' '), region, host ?? null, ip ?? null],
        ...[replaces ? 1 : 0, usesMax, call.who, nowMs, nowMs + ttlMs],
      )
    return { ...tokenOf(store, row ?? {}), secret }
  },

  revokeJoinToken(_call, { id }) {
    const { changes } = store.database
      .prepare('UPDATE join_tokens SET revoked_at_ms = ? WHERE id = ? AND revoked_at_ms IS NULL')
      .run(store.clock.nowMs(), id)
    if (changes === 0) throw notFound('token for joining', { id }, 'godwit host token list')
  },

  useJoinToken(_call, { id, host, ip, nkey }) {
    const row = store.database.prepare('SELECT * FROM join_tokens WHERE id = ?').get(id)
    if (row === undefined) throw notFound('token for joining', { id })
    const token = tokenOf(store, row)
    const why = refusalOf(token, { host, ip, nowMs: store.clock.nowMs() })
    if (why !== undefined) throw refused(id, why)
    const used = store.database
      .prepare('SELECT nkey FROM join_uses WHERE token = ? AND host = ?')
      .get(id, host)
    if (used !== undefined) {
      // The same server asks again: it has not heard the answer.
      if (used['nkey'] === nkey) return token
      throw refused(id, 'another server has joined with it under this name')
    }
    if (token.uses >= token.usesMax) throw refused(id, 'it is used up')
    store.database
      .prepare('INSERT INTO join_uses (token, host, ip, nkey, used_at_ms) VALUES (?, ?, ?, ?, ?)')
      .run(id, host, ip, nkey, store.clock.nowMs())
    return { ...token, uses: token.uses + 1 }
  },

  /** The hosts are no table here: what is told is the entry. */
  removeHost: () => undefined,
})

function refusalOf(
  token: JoinToken,
  { host, ip, nowMs }: { host: string; ip: string; nowMs: number },
): string | undefined {
  if (token.revokedAtMs !== undefined) return 'it was revoked'
  if (nowMs >= token.expiresAtMs) return 'it has run out'
  if (!HOST.test(host)) return 'a host is named by up to 64 letters, digits, - and _'
  if (token.host !== undefined && token.host !== host) return `it is for the host ${token.host}`
  if (token.ip !== undefined && token.ip !== ip) return `it is for the address ${token.ip}`
  return undefined
}

const refused = (id: string, why: string) =>
  new AccountsError('accounts.join_refused', {
    what: `this token lets no such host join: ${why}`,
    values: { id },
    fix: 'make another one at the gateway: godwit host token create',
  })

const digestOf = (secret: string) => createHash('sha256').update(secret).digest()

function tokenOf({ database }: Store, row: Record<string, SQLOutputValue>): JoinToken {
  const text = (name: string) => (row[name] === null ? undefined : String(row[name]))
  const uses = database
    .prepare('SELECT count(*) AS uses FROM join_uses WHERE token = ?')
    .get(String(row['id']))?.['uses']
  return {
    id: String(row['id']),
    roles: String(row['roles']).split(' ') as JoinToken['roles'],
    region: String(row['region']),
    host: text('host'),
    ip: text('ip'),
    replaces: row['replaces'] === 1,
    usesMax: Number(row['uses_max']),
    uses: Number(uses),
    createdBy: String(row['created_by']),
    createdAtMs: Number(row['created_at_ms']),
    expiresAtMs: Number(row['expires_at_ms']),
    revokedAtMs: row['revoked_at_ms'] === null ? undefined : Number(row['revoked_at_ms']),
  }
}
