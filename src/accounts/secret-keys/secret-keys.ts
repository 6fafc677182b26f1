import type { Accounts } from '../accounts.ts'
import type { SecretKey } from '../app-secret.ts'
import { requireApp } from '../apps.ts'
import { badInput, notFound } from '../errors.ts'
import type { Store } from '../store.ts'
import { checkKeyBytes, keyKindOf, newKeyBytes, type SecretKeyType } from './key-type.ts'
import { useKey } from './use-key.ts'

const NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/
const KEYS_MAX = 1_000

export const secretKeyReads = (store: Store): Pick<Accounts, 'secretKeys' | 'useSecretKey'> => ({
  secretKeys: (app) =>
    store.database
      .prepare('SELECT * FROM secret_keys WHERE app = ? ORDER BY name')
      .all(requireApp(store, app).id)
      .map(secretKeyOf),
  useSecretKey(app, name, use) {
    const { id } = requireApp(store, app)
    const row = store.database
      .prepare('SELECT type, sealed FROM secret_keys WHERE app = ? AND name = ?')
      .get(id, name)
    if (row === undefined) throw notFound('secret key', { app, name })
    const key = store.ring.open(row['sealed'] as Uint8Array, secretKeyContext(id, name))
    return useKey({ type: String(row['type']), key }, use, store.random)
  },
})

export const secretKeyWrites = (
  store: Store,
): Pick<Accounts, 'setSecretKey' | 'removeSecretKey'> => ({
  setSecretKey(_call, { app, name, type, key = newKeyBytes(keyKindOf(type), store.random) }) {
    const { id } = requireApp(store, app)
    if (!NAME.test(name)) {
      throw badInput('not a name of a secret key', { name }, 'use letters, digits, _ and -')
    }
    checkKeyBytes(type, key)
    const nowMs = store.clock.nowMs()
    const sealed = store.ring.seal(key, secretKeyContext(id, name))
    const row = store.database
      .prepare(
        `INSERT INTO secret_keys (app, name, type, public_key, sealed, created_at_ms, updated_at_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET type = excluded.type,
         public_key = excluded.public_key, sealed = excluded.sealed, updated_at_ms = excluded.updated_at_ms
         RETURNING *`,
      )
      .get(id, name, type, keyKindOf(type).publicKey?.(key) ?? null, sealed, nowMs, nowMs)
    const { count } = store.database
      .prepare('SELECT count(*) AS count FROM secret_keys WHERE app = ?')
      .get(id) as { count: number }
    if (count > KEYS_MAX) {
      throw badInput('too many secret keys', { app, limit: KEYS_MAX }, 'remove some first')
    }
    return { version: nextVersion(store, id), key: secretKeyOf(row ?? {}) }
  },
  removeSecretKey(_call, { app, name }) {
    const { id } = requireApp(store, app)
    const { changes } = store.database
      .prepare('DELETE FROM secret_keys WHERE app = ? AND name = ?')
      .run(id, name)
    if (changes === 0) throw notFound('secret key', { app, name })
    return { version: nextVersion(store, id) }
  },
})

/** Secrets and secret keys of an app share one version. */
function nextVersion({ database }: Store, app: number): number {
  const row = database
    .prepare('UPDATE apps SET secrets_version = secrets_version + 1 WHERE id = ? RETURNING *')
    .get(app)
  return Number(row?.['secrets_version'])
}

export const secretKeyContext = (app: number, name: string) => `secret-key:${app}:${name}`

const secretKeyOf = (row: Record<string, unknown>): SecretKey => ({
  name: String(row['name']),
  type: row['type'] as SecretKeyType,
  publicKey: row['public_key'] === null ? undefined : (row['public_key'] as Uint8Array),
  createdAtMs: Number(row['created_at_ms']),
  updatedAtMs: Number(row['updated_at_ms']),
})
