import { ApiClient, asObject } from '#corrosion'
import { TRUST_SQL, type TrustRow, trustRowOf } from '#trust'
import { AGENT_URL } from '../parts/corrosion-part.ts'

const PUBLISH = `
INSERT INTO host_certificates (host_id, trusts, signed_by, ends_at, signs_until, shares, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (host_id) DO UPDATE SET trusts = excluded.trusts, signed_by = excluded.signed_by,
  ends_at = excluded.ends_at, signs_until = excluded.signs_until, shares = excluded.shares,
  updated_at = excluded.updated_at
WHERE trusts IS NOT excluded.trusts OR signed_by IS NOT excluded.signed_by
  OR ends_at IS NOT excluded.ends_at OR signs_until IS NOT excluded.signs_until
  OR shares IS NOT excluded.shares`

/** Tells all hosts what this one trusts and shows; writes nothing where they know. @throws CorrosionError; the signal's reason */
export async function publishTrust(
  client: Pick<ApiClient, 'execute'>,
  row: TrustRow,
  { nowMs, signal }: { readonly nowMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const { host, trusts, signedBy, endsAtMs, signsUntilMs, shares } = row
  const until = signsUntilMs ?? null
  const values = [host, JSON.stringify(trusts), signedBy, endsAtMs, until, shares, nowMs]
  await client.execute(PUBLISH, values, { signal })
}

/** What all hosts say, as this one's replica has it. @throws CorrosionError; the signal's reason */
export async function trustRows(
  client: Pick<ApiClient, 'query'>,
  signal: AbortSignal,
): Promise<TrustRow[]> {
  const rows: TrustRow[] = []
  for await (const event of client.query(TRUST_SQL, [], { signal })) {
    if (event.kind === 'row') rows.push(trustRowOf({ ...asObject(event.columns, event.cells) }))
  }
  return rows
}

/** The same, asked of this host's agent. @throws as `trustRows` */
export const clusterTrust = (signal: AbortSignal, url = AGENT_URL): Promise<TrustRow[]> =>
  trustRows(new ApiClient({ url }), signal)
