import { isIP } from 'node:net'
import type { SQLOutputValue } from 'node:sqlite'
import { type AppName, parseAppName } from '#base'
import type { Accounts } from './accounts.ts'
import type { Address, App } from './app.ts'
import { AccountsError, badInput, notFound } from './errors.ts'
import { organizationOf, requireOrganization } from './organizations.ts'
import { revokeTokensOf } from './revocations.ts'
import type { Store } from './store.ts'

type Reads = 'app' | 'apps' | 'addresses'
type Writes = 'createApp' | 'deleteApp' | 'assignAddress' | 'releaseAddress'

const SELECT = `
  SELECT apps.id AS app_id, apps.name AS app_name, apps.created_at_ms AS app_created_at_ms,
         apps.role AS app_role,
         networks.id AS network_id, networks.name AS network_name, organizations.*
  FROM apps JOIN organizations ON organizations.id = apps.organization
            JOIN networks ON networks.id = apps.network`

export const appReads = (store: Store): Pick<Accounts, Reads> => ({
  app: (name) => findApp(store, name),
  apps: (organization) =>
    store.database
      .prepare(`${SELECT} WHERE organizations.id = ? ORDER BY apps.name`)
      .all(requireOrganization(store, organization).id)
      .map(appOf),
  addresses: (app) =>
    store.database
      .prepare('SELECT * FROM addresses WHERE app = ? ORDER BY created_at_ms, ip')
      .all(requireApp(store, app).id)
      .map(addressOf),
})

export const appWrites = (store: Store): Pick<Accounts, Writes> => ({
  createApp(_call, input) {
    const { organization, app, network = 'default', role = '', idempotencyKey = null } = input
    const { id } = requireOrganization(store, organization)
    const made = store.database
      .prepare(`${SELECT} WHERE organizations.id = ? AND apps.idempotency_key = ?`)
      .get(id, idempotencyKey)
    if (made !== undefined && (app === '' || app === appOf(made).name)) return appOf(made)
    if (made !== undefined) throw taken('idempotency key', { app, made: appOf(made).name })
    const name = parseAppName(app)
    if (findApp(store, name) !== undefined) throw taken('app name', { app })
    store.database
      .prepare(
        `INSERT INTO apps (name, organization, network, created_at_ms, role, idempotency_key)
         VALUES (?, ?, ?, ?, ?, ?)`,
      )
      .run(name, id, networkOf(store, id, network), store.clock.nowMs(), role, idempotencyKey)
    return requireApp(store, name)
  },
  deleteApp(_call, { app }) {
    const { id } = requireApp(store, app)
    revokeTokensOf(store, id)
    store.database.prepare('DELETE FROM apps WHERE id = ?').run(id)
  },
  assignAddress(_call, { app, ip, kind, region = 'global' }) {
    const { id } = requireApp(store, app)
    checkAddress(ip, kind)
    const scope = kind === 'shared_v4' ? id : null
    const held = store.database
      .prepare('SELECT 1 FROM addresses WHERE ip = ? AND app = ifnull(?, app)')
      .get(ip, scope)
    if (held !== undefined) throw taken('address', { ip })
    const createdAtMs = store.clock.nowMs()
    store.database
      .prepare(
        'INSERT INTO addresses (app, ip, kind, region, created_at_ms) VALUES (?, ?, ?, ?, ?)',
      )
      .run(id, ip, kind, region, createdAtMs)
    return { ip, kind, region, createdAtMs }
  },
  releaseAddress(_call, { app, ip }) {
    const { changes } = store.database
      .prepare('DELETE FROM addresses WHERE app = ? AND ip = ?')
      .run(requireApp(store, app).id, ip)
    if (changes === 0) throw notFound('address of this app', { app, ip })
  },
})

/** Which version of IP a kind has. */
// biome-ignore format: a table
const versionOfKind = {
  v4: 4, v6: 6, shared_v4: 4, private_v6: 6, egress_v4: 4, egress_v6: 6,
} as const

function checkAddress(ip: string, kind: Address['kind']): void {
  if (!Object.hasOwn(versionOfKind, kind)) {
    throw badInput('no kind of address', { kind }, `use ${Object.keys(versionOfKind).join(', ')}`)
  }
  if (isIP(ip) === versionOfKind[kind]) return
  throw badInput('not an address of this kind', { ip, kind }, `write an IPv${versionOfKind[kind]}`)
}

/** Its id, for ever; made now if there is none of the name. @throws AccountsError accounts.bad_input */
export function networkOf({ database }: Store, organization: number, name: string): number {
  if (!/^[\w.-]{1,63}$/.test(name)) {
    throw badInput('not a network name', { name }, 'use 1 to 63 letters, digits, _, . and -')
  }
  database
    .prepare('INSERT INTO networks (organization, name) VALUES (?, ?) ON CONFLICT DO NOTHING')
    .run(organization, name)
  const row = database
    .prepare('SELECT id FROM networks WHERE organization = ? AND name = ?')
    .get(organization, name)
  return Number(row?.['id'])
}

function findApp({ database }: Store, name: string): App | undefined {
  const row = database.prepare(`${SELECT} WHERE apps.name = ?`).get(name)
  return row && appOf(row)
}

/** @throws AccountsError accounts.not_found */
export function requireApp(store: Store, name: string): App {
  const app = findApp(store, name)
  if (app !== undefined) return app
  throw notFound('app', { app: name }, 'make it with: godwit apps create <name> --org <slug>')
}

export const taken = (what: string, values: Readonly<Record<string, unknown>>) =>
  new AccountsError('accounts.taken', {
    what: `this ${what} is taken`,
    values,
    fix: 'choose another',
  })

const appOf = (row: Record<string, SQLOutputValue>): App => ({
  id: Number(row['app_id']),
  name: String(row['app_name']) as AppName,
  organization: organizationOf(row),
  network: String(row['network_name']),
  networkId: Number(row['network_id']),
  role: String(row['app_role']),
  createdAtMs: Number(row['app_created_at_ms']),
})

const addressOf = (row: Record<string, SQLOutputValue>): Address => ({
  ip: String(row['ip']),
  kind: row['kind'] as Address['kind'],
  region: String(row['region']),
  createdAtMs: Number(row['created_at_ms']),
})
