import type { Accounts } from './accounts.ts'
import { requireApp } from './apps.ts'
import { AccountsError, badInput, notFound } from './errors.ts'
import type { CustomCertificate, HostnameRecord } from './hostname.ts'
import type { Store } from './store.ts'

/** Names of at least two labels, the first of them perhaps `*`. Source: RFC 1123, section 2.1; RFC 6125, 6.4.3. */
const HOSTNAME =
  /^(?=.{1,253}$)(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])$/

export const hostnameReads = (
  store: Store,
): Pick<Accounts, 'hostnames' | 'customCertificateKey'> => ({
  hostnames: (app) =>
    store.database
      .prepare(
        `SELECT name, h.created_at_ms, wants_acme, chain_pem, not_before_ms, not_after_ms,
           c.created_at_ms AS brought_at_ms
         FROM hostnames h LEFT JOIN custom_certificates c ON c.hostname = h.name
         WHERE app = ? ORDER BY name`,
      )
      .all(requireApp(store, app).id)
      .map((row): HostnameRecord => {
        return {
          hostname: String(row['name']),
          createdAtMs: Number(row['created_at_ms']),
          wantsAcme: row['wants_acme'] === 1,
          custom: row['chain_pem'] === null ? undefined : customOf(row),
        }
      }),
  customCertificateKey(hostname) {
    const row = store.database
      .prepare('SELECT sealed FROM custom_certificates WHERE hostname = ?')
      .get(hostname)
    if (row === undefined) return undefined
    const sealed = row['sealed'] as Uint8Array
    return store.ring.open(sealed, certificateContext(hostname)).toString('utf8')
  },
})

type Writes = Pick<
  Accounts,
  'addHostname' | 'removeHostname' | 'setCustomCertificate' | 'removeCustomCertificate' | 'stopAcme'
>

export const hostnameWrites = (store: Store): Writes => ({
  addHostname(_call, { app, hostname }) {
    const name = claim(store, app, hostname)
    store.database.prepare('UPDATE hostnames SET wants_acme = 1 WHERE name = ?').run(name)
  },
  removeHostname(_call, { app, hostname }) {
    const { changes } = store.database
      .prepare('DELETE FROM hostnames WHERE app = ? AND name = ?')
      .run(requireApp(store, app).id, hostname.toLowerCase())
    if (changes === 0) throw notFound('host name of this app', { app, hostname })
  },
  setCustomCertificate(_call, { app, hostname, chain, key, notBeforeMs, notAfterMs }) {
    const name = claim(store, app, hostname)
    const sealed = store.ring.seal(Buffer.from(key), certificateContext(name))
    store.database
      .prepare('INSERT OR REPLACE INTO custom_certificates VALUES (?, ?, ?, ?, ?, ?)')
      .run(name, chain, sealed, notBeforeMs, notAfterMs, store.clock.nowMs())
  },
  removeCustomCertificate(_call, { app, hostname }) {
    const { changes } = store.database
      .prepare(
        `DELETE FROM custom_certificates
         WHERE hostname IN (SELECT name FROM hostnames WHERE app = ? AND name = ?)`,
      )
      .run(requireApp(store, app).id, hostname.toLowerCase())
    if (changes === 0) throw notFound('custom certificate of this app', { app, hostname })
  },
  stopAcme(_call, { app, hostname }) {
    const { changes } = store.database
      .prepare('UPDATE hostnames SET wants_acme = 0 WHERE app = ? AND name = ? AND wants_acme = 1')
      .run(requireApp(store, app).id, hostname.toLowerCase())
    if (changes === 0) throw notFound('host name with a certificate to get', { app, hostname })
  },
})

/** Makes the name this app's; it wants nothing yet. @returns it as it is kept */
function claim(store: Store, app: string, hostname: string): string {
  const { id } = requireApp(store, app)
  const name = hostname.toLowerCase()
  if (!HOSTNAME.test(name)) {
    throw badInput('not a host name', { hostname }, 'write one like www.example.com')
  }
  const held = store.database.prepare('SELECT app FROM hostnames WHERE name = ?').get(name)
  if (held !== undefined && Number(held['app']) !== id) {
    throw new AccountsError('accounts.taken', {
      what: 'another app has this host name',
      values: { hostname },
      fix: 'remove it there first',
    })
  }
  store.database
    .prepare(
      `INSERT INTO hostnames (name, app, created_at_ms, wants_acme) VALUES (?, ?, ?, 0)
       ON CONFLICT DO NOTHING`,
    )
    .run(name, id, store.clock.nowMs())
  return name
}

const customOf = (row: Record<string, unknown>): CustomCertificate => ({
  chain: String(row['chain_pem']),
  notBeforeMs: Number(row['not_before_ms']),
  notAfterMs: Number(row['not_after_ms']),
  createdAtMs: Number(row['brought_at_ms']),
})

export const certificateContext = (hostname: string): string => `certificate:${hostname}`
