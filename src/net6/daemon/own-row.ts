import type { ApiClient } from '#corrosion'
import type { HostRow } from '../mesh/host-rows.ts'
import { isBackhaul } from '../mesh-address.ts'

/** What this daemon says of its host. The other columns of the row are flyd's. */
export interface OwnColumns {
  readonly six_pn_prefix: string
  readonly mesh_public_key: string
  readonly mesh_endpoint: string
  readonly backhaul_ip: string
}

export interface FollowedHostRow extends HostRow {
  readonly backhaul_ip: string
}

/** An operator may have told flyd to be found elsewhere: such an address stays. */
const isOurs = (backhaulIp: string) => backhaulIp === '' || isBackhaul(backhaulIp)

/** Is the row as it should be? */
export function saysOwn(row: FollowedHostRow | undefined, own: OwnColumns): boolean {
  if (row === undefined) return false
  return (
    row.six_pn_prefix === own.six_pn_prefix &&
    row.mesh_public_key === own.mesh_public_key &&
    row.mesh_endpoint === own.mesh_endpoint &&
    (!isOurs(row.backhaul_ip) || row.backhaul_ip === own.backhaul_ip)
  )
}

/** @throws UserSqlError corrosion.sql_failed */
export async function writeOwnRow(
  client: ApiClient,
  hostId: string,
  row: FollowedHostRow | undefined,
  own: OwnColumns,
  signal: AbortSignal,
): Promise<void> {
  const { six_pn_prefix: prefix, mesh_public_key: key, mesh_endpoint: endpoint } = own
  const backhaul = isOurs(row?.backhaul_ip ?? '') ? own.backhaul_ip : (row?.backhaul_ip ?? '')
  await client.execute(UPSERT, [hostId, prefix, key, endpoint, backhaul], { signal })
}

const UPSERT = `
INSERT INTO hosts (id, six_pn_prefix, mesh_public_key, mesh_endpoint, backhaul_ip) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET six_pn_prefix = excluded.six_pn_prefix,
  mesh_public_key = excluded.mesh_public_key, mesh_endpoint = excluded.mesh_endpoint,
  backhaul_ip = excluded.backhaul_ip`
