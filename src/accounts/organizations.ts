import type { SQLOutputValue } from 'node:sqlite'
import { parseOrgSlug } from '#base'
import type { Accounts } from './accounts.ts'
import { AccountsError, badInput, notFound } from './errors.ts'
import type { Member, Organization } from './organization.ts'
import { revokeLoginsOf, revokeTokensOfOrganization } from './revocations.ts'
import type { Store } from './store.ts'

type Reads =
  | 'organizations'
  | 'organization'
  | 'organizationByNumber'
  | 'organizationOfNetwork'
  | 'members'
type Writes = 'createOrganization' | 'deleteOrganization' | 'addMember' | 'removeMember'

export const organizationReads = ({ database }: Store): Pick<Accounts, Reads> => ({
  organizations: () =>
    database.prepare('SELECT * FROM organizations ORDER BY slug').all().map(organizationOf),
  organization(slug) {
    const row = database.prepare('SELECT * FROM organizations WHERE slug = ?').get(slug)
    return row && organizationOf(row)
  },
  organizationByNumber(id) {
    const row = database.prepare('SELECT * FROM organizations WHERE id = ?').get(id)
    return row && organizationOf(row)
  },
  organizationOfNetwork(networkId) {
    const row = database
      .prepare(
        `SELECT organizations.* FROM organizations JOIN networks
         ON networks.organization = organizations.id WHERE networks.id = ?`,
      )
      .get(networkId)
    return row && organizationOf(row)
  },
  members: (organization) =>
    database
      .prepare(
        `SELECT user, email, role FROM members JOIN users ON users.id = user
         WHERE organization = ? ORDER BY email`,
      )
      .all(requireOrganization({ database }, organization).id)
      .map((row) => ({
        userId: Number(row['user']),
        email: String(row['email']),
        role: row['role'] as Member['role'],
      })),
})

export const organizationWrites = (store: Store): Pick<Accounts, Writes> => ({
  createOrganization(_call, { slug, name = slug, isOperator = false }) {
    const parsed = parseOrgSlug(slug)
    if (organizationReads(store).organization(parsed) !== undefined) {
      throw new AccountsError('accounts.taken', {
        what: 'there is an organisation with this slug',
        values: { slug },
        fix: 'choose another slug; godwit orgs list shows those that are taken',
      })
    }
    const row = store.database
      .prepare(
        `INSERT INTO organizations (slug, name, is_operator, created_at_ms) VALUES (?, ?, ?, ?)
         RETURNING *`,
      )
      .get(parsed, name, isOperator ? 1 : 0, store.clock.nowMs())
    return organizationOf(row ?? {})
  },
  deleteOrganization(_call, { organization }) {
    const { id, isOperator } = requireOrganization(store, organization)
    if (isOperator) {
      throw inUse('the organisation is that of the operators', { organization }, 'it stays')
    }
    const { database } = store
    const apps = database.prepare('SELECT name FROM apps WHERE organization = ?').all(id)
    if (apps.length > 0) {
      const values = { organization, apps: apps.slice(0, SHOWN_MAX).map(({ name }) => name) }
      throw inUse(`the organisation has ${apps.length} apps`, values, 'destroy them first')
    }
    revokeTokensOfOrganization(store, id)
    for (const table of OF_ORGANIZATION) {
      database.prepare(`DELETE FROM ${table} WHERE organization = ?`).run(id)
    }
    database.prepare('DELETE FROM organizations WHERE id = ?').run(id)
  },
  addMember(_call, { organization, email, role = 'member' }) {
    const { id } = requireOrganization(store, organization)
    if (!EMAIL.test(email)) throw badInput('not an e-mail address', { email }, 'write name@host')
    if (role !== 'member' && role !== 'admin') {
      throw badInput('not a role', { role }, 'use member or admin')
    }
    const userId = userOf(store, email)
    store.database
      .prepare(
        `INSERT INTO members (organization, user, role) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET role = excluded.role`,
      )
      .run(id, userId, role)
    return { userId, email, role }
  },
  removeMember(_call, { organization, email }) {
    const { id } = requireOrganization(store, organization)
    const { changes } = store.database
      .prepare(
        `DELETE FROM members
         WHERE organization = ? AND user = (SELECT id FROM users WHERE email = ?)`,
      )
      .run(id, email)
    if (changes === 0) throw notFound('member', { organization, email })
    revokeLoginsOf(store, { user: userOf(store, email), organization: id })
  },
})

/** In the order in which one names the other. */
const OF_ORGANIZATION = [
  ...['wireguard_peers', 'networks', 'ssh_authorities', 'tokens', 'root_keys', 'members'],
] as const
const SHOWN_MAX = 10

const inUse = (what: string, values: Readonly<Record<string, unknown>>, fix: string) =>
  new AccountsError('accounts.in_use', { what, values, fix })

const EMAIL = /^[^\s@]{1,64}@[^\s@]{1,190}$/

function userOf({ database, clock }: Store, email: string): number {
  database
    .prepare('INSERT INTO users (email, created_at_ms) VALUES (?, ?) ON CONFLICT DO NOTHING')
    .run(email, clock.nowMs())
  return Number(database.prepare('SELECT id FROM users WHERE email = ?').get(email)?.['id'])
}

/** @throws AccountsError accounts.not_found */
export function requireOrganization(
  { database }: Pick<Store, 'database'>,
  slug: string,
): Organization {
  const row = database.prepare('SELECT * FROM organizations WHERE slug = ?').get(slug)
  if (row !== undefined) return organizationOf(row)
  throw notFound('organisation', { slug }, `make it with: godwit orgs create <slug>`)
}

export const organizationOf = (row: Record<string, SQLOutputValue>): Organization => ({
  id: Number(row['id']),
  slug: parseOrgSlug(String(row['slug'])),
  name: String(row['name']),
  isOperator: row['is_operator'] === 1,
  createdAtMs: Number(row['created_at_ms']),
})
