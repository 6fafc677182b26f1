/** What a host says of what it trusts and shows: its row of `host_certificates`. */
export interface TrustRow {
  readonly host: string
  /** Fingerprints of the authorities that it trusts. */
  readonly trusts: readonly string[]
  /** The one under which its own certificates are; empty: none of these. */
  readonly signedBy: string
  /** Unix milliseconds: of the first of its certificates that ends. */
  readonly endsAtMs: number
  /** Of a gateway: how long it can sign for hosts. */
  readonly signsUntilMs: number | undefined
  /** A digest of the keys that it shares with all hosts. */
  readonly shares: string
}

export const TRUST_SQL =
  'SELECT host_id, trusts, signed_by, ends_at, signs_until, shares FROM host_certificates ORDER BY host_id'

/** A row as the replica gives it; what is none of ours is as if the host trusted nobody. */
export function trustRowOf(row: Readonly<Record<string, unknown>>): TrustRow {
  const { host_id: host, trusts, signed_by: signedBy, ends_at: endsAt, signs_until: until } = row
  return {
    host: String(host),
    trusts: listIn(trusts),
    signedBy: String(signedBy ?? ''),
    endsAtMs: Number(endsAt ?? 0),
    signsUntilMs: typeof until === 'number' && until > 0 ? until : undefined,
    shares: String(row['shares'] ?? ''),
  }
}

function listIn(text: unknown): string[] {
  try {
    const list: unknown = JSON.parse(String(text))
    return Array.isArray(list) ? list.map(String) : []
  } catch {
    return [] // nobody
  }
}

/**
 * Members that would not know who is signed for by an authority. While there are any, nobody shows a certificate under
 * it: they could neither talk to that one nor ask it what to trust.
 */
export function hostsWithout(
  authority: string,
  members: readonly string[],
  rows: readonly TrustRow[],
): string[] {
  const knowing = new Set(
    rows.filter(({ trusts }) => trusts.includes(authority)).map(({ host }) => host),
  )
  return members.filter((host) => !knowing.has(host))
}
