import type { DatabaseSync } from 'node:sqlite'
import type { Accounts } from '#accounts'
import { type Log, systemClock } from '#base'
import { ApiClient } from '#corrosion'
import { TRUST_SQL, trustRowOf } from '#trust'
import type { FlapsConfig } from '../flaps-config.ts'
import type { HostMembership } from '../host-membership.ts'
import type { RegionRow } from '../rows.ts'
import { canSign, readClusterFiles } from './cluster-files.ts'
import type { ClusterMember } from './cluster-member.ts'
import { JoinAuthority } from './join-authority.ts'
import { RenewalAuthority } from './renewal-authority.ts'

export interface JoinAround {
  readonly accounts: Accounts
  /** The replica. Only read. */
  readonly database: DatabaseSync
  readonly regions: () => readonly RegionRow[]
  readonly membership: HostMembership
  readonly log: Log
}

export interface OpenJoin {
  readonly authority: JoinAuthority
  readonly renewal: RenewalAuthority
}

/**
 * Lets hosts join at this gateway, and renews what they show. Undefined: it has no key to sign for them, as in a cluster
 * that was founded before there was one.
 */
export function openJoin(
  config: FlapsConfig,
  { accounts, database, regions, membership, log }: JoinAround,
): OpenJoin | undefined {
  const { join, agent } = config
  if (join === undefined || agent === undefined) return undefined
  if (!canSign(config)) {
    log.info({ file: join.joining_key_file }, 'no key to sign for hosts: none can join here')
    return undefined
  }
  const client = new ApiClient({
    url: agent.url,
    ...(agent.token === undefined ? {} : { bearerToken: agent.token }),
  })
  const around = {
    files: () => readClusterFiles(join, config, systemClock.nowMs()),
    trust: () => database.prepare(TRUST_SQL).all().map(trustRowOf),
    ...{ clock: systemClock, log },
  }
  const authority = new JoinAuthority({
    ...{ ...around, hostId: agent.host, accounts, regions },
    appDomain: join.app_domain,
    founded: join.members,
    since: () => rowsOf(database),
    isAlive: ({ host, address }) => membership.statusOf(host, address) === 'ok',
    publish: async ({ host, region, address, roles, nkey }, signal) => {
      const values = [host, agent.host, region, address, JSON.stringify(roles), nkey]
      await client.execute(PUBLISH, [...values, systemClock.nowMs()], { signal })
    },
  })
  const renewal = new RenewalAuthority({ ...around, members: () => authority.members() })
  return { authority, renewal }
}

const PUBLISH = `
INSERT INTO members (name, host_id, state, region, address, roles, nkey, updated_at)
VALUES (?, ?, 'member', ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET host_id = excluded.host_id, state = excluded.state, region = excluded.region,
  address = excluded.address, roles = excluded.roles, nkey = excluded.nkey, updated_at = excluded.updated_at`

function rowsOf(database: DatabaseSync): { joined: ClusterMember[]; removed: string[] } {
  const rows = database.prepare('SELECT * FROM members').all()
  const text = (row: (typeof rows)[number], name: string) => String(row[name] ?? '')
  return {
    joined: rows
      .filter((row) => row['state'] === 'member')
      .map((row) => ({
        ...{ host: text(row, 'name'), region: text(row, 'region'), nkey: text(row, 'nkey') },
        address: text(row, 'address'),
        roles: JSON.parse(text(row, 'roles')) as string[],
      })),
    removed: rows.filter((row) => row['state'] === 'removed').map((row) => text(row, 'name')),
  }
}
