import { createLog, pollUntil, systemClock } from '#base'
import { ApiClient, MemberWatch } from '#corrosion'
import { HostError } from '../errors.ts'
import { type HostConfig, hasRole } from '../host-config.ts'
import { AGENT_URL } from '../parts/corrosion-part.ts'
import { placesOf } from '../parts/derived-part.ts'
import { readJoined, withJoined } from './joined-members.ts'

const MEMBERS_MS = 10_000

/** Tables with rows of a host, which nobody else may write while it lives. */
const TABLES = [
  ...['machines', 'services', 'checks', 'volumes', 'regions', 'host_links'],
  ...['wireguard_gateways', 'wireguard_links', 'host_certificates'],
] as const

/**
 * Takes a host that is gone out of the cluster: NATS knows it no longer, and its rows go, those of its machines too.
 *
 * @param isForced also when it still answers, or machines of it are known
 * @throws HostError host.not_removed, host.part_unknown: there is no such host
 */
export async function removeHost(
  file: HostConfig,
  name: string,
  { isForced, url = AGENT_URL }: { isForced: boolean; url?: string },
): Promise<{ machines: number }> {
  const config = withJoined(file, readJoined(file))
  const member = config.members.find(({ host }) => host === name)
  if (!hasRole(config, 'gateway')) {
    throw refused('hosts are removed at a gateway', name, 'ask there: godwit host remove')
  }
  if (member?.roles.some((role) => role === 'gateway' || role === 'nats') === true) {
    throw refused(
      'the cluster cannot do without a gateway or the host of NATS',
      name,
      'see docs/operate.md',
    )
  }
  const client = new ApiClient({ url })
  const machines = await countMachines(client, name)
  if (!isForced) {
    if (member !== undefined && (await isPresent(config, member.address))) {
      throw refused(
        'the host still answers',
        name,
        `stop it there (godwit install --remove), or give --force`,
      )
    }
    if (machines > 0) {
      const fix = 'destroy them with --force first, or give --force here: they are gone with it'
      throw refused(`the cluster knows ${machines} machines of it`, name, fix)
    }
  }
  await client.transaction([
    [REMOVED, [name, config.host, systemClock.nowMs()]],
    ...TABLES.map((table) => [`DELETE FROM ${table} WHERE host_id = ?`, [name]] as const),
    ['DELETE FROM hosts WHERE id = ?', [name]],
  ])
  return { machines }
}

const REMOVED = `
INSERT INTO members (name, host_id, state, updated_at) VALUES (?, ?, 'removed', ?)
ON CONFLICT (name) DO UPDATE SET host_id = excluded.host_id, state = excluded.state, nkey = '',
  updated_at = excluded.updated_at`

async function countMachines(client: ApiClient, name: string): Promise<number> {
  const sql =
    "SELECT count(*) FROM machines WHERE host_id = ? AND state NOT IN ('destroyed', 'migrated')"
  for await (const event of client.query(sql, [name])) {
    if (event.kind === 'row') return Number(event.cells[0])
  }
  return 0
}

async function isPresent(config: HostConfig, address: string): Promise<boolean> {
  const log = createLog({ part: 'host', level: 'silent', format: 'json' })
  using members = new MemberWatch({ socket: placesOf(config).agentSocket, log, periodMs: 100 })
  let present: boolean | undefined
  const look = () => {
    present = members.isPresent(address)
    return present !== undefined
  }
  await pollUntil('what the corrosion agent says of its members', look, { deadlineMs: MEMBERS_MS })
  return present === true
}

const refused = (what: string, host: string, fix: string) =>
  new HostError('host.not_removed', { what, values: { host }, fix })
