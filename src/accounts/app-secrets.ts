import { createHmac } from 'node:crypto'
import type { Accounts } from './accounts.ts'
import type { AppSecrets } from './app-secret.ts'
import { requireApp } from './apps.ts'
import { badInput } from './errors.ts'
import type { Store } from './store.ts'

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/
const VALUE_BYTES_MAX = 64 * 1024
const SECRETS_MAX = 1_000
const DIGEST_KEY_BYTES = 32
const DIGEST_HEX_DIGITS = 16

export const secretReads = (store: Store): Pick<Accounts, 'secrets'> => ({
  secrets: (app) => digests(store, requireApp(store, app).id),
})

export const secretWrites = (store: Store): Pick<Accounts, 'setSecrets' | 'openSecrets'> => ({
  setSecrets(_call, { app, values }) {
    const { id } = requireApp(store, app)
    for (const [name, value] of Object.entries(values)) {
      checkSecret(name, value)
      if (value === null) remove(store, id, name)
      else put(store, id, name, value)
    }
    store.database
      .prepare('UPDATE apps SET secrets_version = secrets_version + 1 WHERE id = ?')
      .run(id)
    const after = digests(store, id)
    if (after.secrets.length <= SECRETS_MAX) return after
    throw badInput('too many secrets', { app, limit: SECRETS_MAX }, 'remove some first')
  },
  openSecrets(_call, { app }) {
    const { id } = requireApp(store, app)
    const rows = store.database
      .prepare('SELECT name, sealed FROM app_secrets WHERE app = ? ORDER BY name')
      .all(id)
    return new Map(
      rows.map(({ name, sealed }) => {
        const opened = store.ring.open(sealed as Uint8Array, secretContext(id, String(name)))
        return [String(name), opened.toString('utf8')]
      }),
    )
  },
})

function put(store: Store, app: number, name: string, value: string): void {
  const nowMs = store.clock.nowMs()
  const digest = createHmac('sha256', digestKey(store, app)).update(value).digest('hex')
  store.database
    .prepare(
      `INSERT INTO app_secrets (app, name, digest, sealed, created_at_ms, updated_at_ms)
       VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
       digest = excluded.digest, sealed = excluded.sealed, updated_at_ms = excluded.updated_at_ms`,
    )
    .run(
      app,
      name,
      digest.slice(0, DIGEST_HEX_DIGITS),
      store.ring.seal(Buffer.from(value), secretContext(app, name)),
      nowMs,
      nowMs,
    )
}

function remove({ database }: Store, app: number, name: string): void {
  database.prepare('DELETE FROM app_secrets WHERE app = ? AND name = ?').run(app, name)
}

/** A plain digest of a short secret could be guessed. */
function digestKey({ database, ring, random }: Store, app: number): Uint8Array {
  const row = database.prepare('SELECT sealed FROM digest_keys WHERE app = ?').get(app)
  if (row !== undefined) return ring.open(row['sealed'] as Uint8Array, digestContext(app))
  const key = random.bytes(DIGEST_KEY_BYTES)
  database
    .prepare('INSERT INTO digest_keys (app, sealed) VALUES (?, ?)')
    .run(app, ring.seal(key, digestContext(app)))
  return key
}

function checkSecret(name: string, value: string | null): void {
  if (!NAME.test(name)) {
    throw badInput('not a name of a secret', { name }, 'use letters, digits and _, no digit first')
  }
  if (value === null || Buffer.byteLength(value) <= VALUE_BYTES_MAX) return
  throw badInput('the secret is too long', { name, limit: VALUE_BYTES_MAX }, 'store it elsewhere')
}

function digests({ database }: Store, app: number): AppSecrets {
  const row = database.prepare('SELECT secrets_version FROM apps WHERE id = ?').get(app)
  const secrets = database
    .prepare('SELECT * FROM app_secrets WHERE app = ? ORDER BY name')
    .all(app)
    .map((secret) => ({
      name: String(secret['name']),
      digest: String(secret['digest']),
      createdAtMs: Number(secret['created_at_ms']),
      updatedAtMs: Number(secret['updated_at_ms']),
    }))
  return { version: Number(row?.['secrets_version']), secrets }
}

export const secretContext = (app: number, name: string) => `secret:${app}:${name}`
export const digestContext = (app: number) => `digest:${app}`
