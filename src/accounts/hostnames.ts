import type { Accounts, HostnameRecord } from './accounts.ts'
import { requireApp } from './apps.ts'
import { AccountsError, badInput, notFound } from './errors.ts'
import type { Store } from './store.ts'

/** Names of at least two labels, the first of them perhaps `*`. Source: RFC 1123, section 2.1; RFC 6125, 6.4.3. */
const HOSTNAME =
  /^(?=.{1,253}$)(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])$/

export const hostnameReads = (store: Store): Pick<Accounts, 'hostnames'> => ({
  hostnames: (app) =>
    store.database
      .prepare('SELECT * FROM hostnames WHERE app = ? ORDER BY name')
      .all(requireApp(store, app).id)
      .map((row): HostnameRecord => {
        return { hostname: String(row['name']), createdAtMs: Number(row['created_at_ms']) }
      }),
})

export const hostnameWrites = (store: Store): Pick<Accounts, 'addHostname' | 'removeHostname'> => ({
  addHostname(_call, { app, hostname }) {
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
      .prepare('INSERT INTO hostnames VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
      .run(name, id, store.clock.nowMs())
  },
  removeHostname(_call, { app, hostname }) {
    const { changes } = store.database
      .prepare('DELETE FROM hostnames WHERE app = ? AND name = ?')
      .run(requireApp(store, app).id, hostname.toLowerCase())
    if (changes === 0) throw notFound('host name of this app', { app, hostname })
  },
})
