import type { Accounts } from './accounts.ts'
import { digestContext, secretContext } from './app-secrets.ts'
import { AccountsError, notFound } from './errors.ts'
import { certificateContext } from './hostnames.ts'
import { identityContext } from './identity-keys.ts'
import { requireOrganization } from './organizations.ts'
import { secretKeyContext } from './secret-keys/secret-keys.ts'
import type { RootKey } from './signing-key.ts'
import { sshContext } from './ssh-authorities.ts'
import type { Store } from './store.ts'

const KEY_BYTES = 32
const KID_BYTES = 16

/** Opened keys that are remembered, by their sealed bytes; beyond, all are forgotten. */
const OPENED_MAX = 1_000

type Reads = 'rootKeys' | 'rootKeySecret'

export function rootKeyReads(store: Store): Pick<Accounts, Reads> {
  const find = store.database.prepare(
    'SELECT organization, kid, sealed FROM root_keys WHERE kid = ? AND sealed IS NOT NULL',
  )
  const opened = new Map<string, Uint8Array>() // the row decides on every call: retired is retired
  return {
    rootKeys: (organization) =>
      store.database
        .prepare('SELECT * FROM root_keys WHERE organization = ? ORDER BY sequence DESC')
        .all(requireOrganization(store, organization).id)
        .map(rootKeyOf),
    rootKeySecret(kid) {
      const row = find.get(kid)
      if (row === undefined) return undefined
      const sealed = row['sealed'] as Uint8Array
      const context = rootContext(row)
      const name = `${context} ${Buffer.from(sealed).toString('latin1')}`
      const known = opened.get(name)
      if (known !== undefined) return known
      const key = store.ring.open(sealed, context)
      if (opened.size >= OPENED_MAX) opened.clear()
      opened.set(name, key)
      return key
    },
  }
}

export const rootKeyWrites = (
  store: Store,
): Pick<Accounts, 'addRootKey' | 'retireRootKey' | 'reseal'> => ({
  addRootKey: (_call, { organization }) =>
    addRootKey(store, requireOrganization(store, organization).id),
  retireRootKey(_call, { organization, kid }) {
    const { id } = requireOrganization(store, organization)
    const newest = newestRootKey(store, id)
    if (newest?.kid === kid) {
      throw new AccountsError('accounts.root_key_newest', {
        what: 'new tokens are signed with this key',
        values: { kid },
        fix: `make its successor first: godwit tokens rotate --org ${organization}`,
      })
    }
    const { changes } = store.database
      .prepare(
        `UPDATE root_keys SET sealed = NULL, retired_at_ms = ?
         WHERE organization = ? AND kid = ? AND sealed IS NOT NULL`,
      )
      .run(store.clock.nowMs(), id, Buffer.from(kid, 'hex'))
    if (changes === 0) throw notFound('key in use', { organization, kid })
  },
  reseal: () =>
    resealTable(store, 'root_keys', 'sequence, organization, kid', rootContext) +
    resealTable(store, 'ssh_authorities', 'organization', (row) =>
      sshContext(Number(row['organization'])),
    ) +
    resealTable(store, 'digest_keys', 'app', (row) => digestContext(Number(row['app']))) +
    resealTable(store, 'app_secrets', 'app, name', (row) =>
      secretContext(Number(row['app']), String(row['name'])),
    ) +
    resealTable(store, 'identity_keys', 'kid', (row) => identityContext(String(row['kid']))) +
    resealTable(store, 'custom_certificates', 'hostname', (row) =>
      certificateContext(String(row['hostname'])),
    ) +
    resealTable(store, 'secret_keys', 'app, name', (row) =>
      secretKeyContext(Number(row['app']), String(row['name'])),
    ),
})

/** The organisation's newest, with its bytes; made now when there is none. */
export function signingKey(store: Store, organization: number): { kid: Buffer; key: Uint8Array } {
  const { kid } = newestRootKey(store, organization) ?? addRootKey(store, organization)
  const bytes = Buffer.from(kid, 'hex')
  const key = rootKeyReads(store).rootKeySecret(bytes)
  if (key !== undefined) return { kid: bytes, key }
  throw new AccountsError('accounts.root_key_missing', {
    what: 'the organisation has no key to sign with',
    values: { kid },
    fix: 'make one with: godwit tokens rotate',
  })
}

function newestRootKey({ database }: Store, organization: number): RootKey | undefined {
  const row = database
    .prepare('SELECT * FROM root_keys WHERE organization = ? ORDER BY sequence DESC LIMIT 1')
    .get(organization)
  return row && rootKeyOf(row)
}

function addRootKey({ database, ring, random, clock }: Store, organization: number): RootKey {
  const kid = random.bytes(KID_BYTES)
  const sealed = ring.seal(random.bytes(KEY_BYTES), rootContext({ organization, kid }))
  const row = database
    .prepare(
      `INSERT INTO root_keys (kid, organization, sealed, created_at_ms)
       VALUES (?, ?, ?, ?) RETURNING *`,
    )
    .get(kid, organization, sealed, clock.nowMs())
  return rootKeyOf(row ?? {})
}

function resealTable(
  { database, ring }: Store,
  table: string,
  columns: string,
  contextOf: (row: Record<string, unknown>) => string,
): number {
  const names = columns.split(', ')
  const key = names.map((name) => `${name} = ?`).join(' AND ')
  const update = database.prepare(`UPDATE ${table} SET sealed = ? WHERE ${key}`)
  let count = 0
  for (const row of database.prepare(`SELECT * FROM ${table} WHERE sealed IS NOT NULL`).all()) {
    const sealed = row['sealed'] as Uint8Array
    if (ring.isNewest(sealed)) continue
    const context = contextOf(row)
    const values = names.map((name) => row[name] ?? null)
    update.run(ring.seal(ring.open(sealed, context), context), ...values)
    count += 1
  }
  return count
}

const hexOf = (kid: unknown) => Buffer.from(kid as Uint8Array).toString('hex')

const rootContext = (row: Record<string, unknown>) =>
  `root:${row['organization']}:${hexOf(row['kid'])}`

const rootKeyOf = (row: Record<string, unknown>): RootKey => ({
  kid: hexOf(row['kid']),
  createdAtMs: Number(row['created_at_ms']),
  retiredAtMs: row['retired_at_ms'] === null ? undefined : Number(row['retired_at_ms']),
})
