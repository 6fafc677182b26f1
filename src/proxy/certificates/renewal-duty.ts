import { createHash } from 'node:crypto'
import { number, type PlatformRow, text } from '../routing-table/platform-rows.ts'

/**
 * Who gets or renews the certificate of a name, decided by all hosts alike from the rows that they all have.
 *
 * The hosts that may are ranked for each name by a hash of both (rendezvous hashing: Thaler and Ravishankar, 1998), so
 * that names spread evenly and a host that goes moves only its own. The first one writes its claim, which is its own
 * row of the name, and waits until the claim has reached everyone. Of several fresh claims the best ranked wins.
 * A host that is cut off may order as well: the authority then issues twice, which is harmless.
 */
export const CLAIM_SETTLE_MS = 15_000
/** A claim that was not renewed for so long is nobody's. */
export const CLAIM_MS = 10 * 60_000
/** The next in rank waits so long before it takes the place of one that does nothing. */
export const STEP_ASIDE_MS = 3 * 60_000
export const CLAIM_STATE = 'ordering'

export type Duty =
  | { readonly kind: 'none' }
  /** Write or renew the own claim, and look again when it has settled. */
  | { readonly kind: 'claim' }
  | { readonly kind: 'order' }
  | { readonly kind: 'wait'; readonly untilMs: number }

export interface DutyView {
  readonly hostname: string
  readonly ownHostId: string
  /** That may order: edges that are ready. */
  readonly hosts: readonly string[]
  /** All rows of the name. */
  readonly rows: readonly PlatformRow[]
  /** When the name became due, milliseconds since the epoch. */
  readonly dueMs: number
  readonly nowMs: number
}

export function dutyOf({ hostname, ownHostId, hosts, rows, dueMs, nowMs }: DutyView): Duty {
  if (nowMs < dueMs) return { kind: 'none' }
  const ranked = rankHosts(hostname, hosts)
  const rank = ranked.indexOf(ownHostId)
  if (rank < 0) return { kind: 'none' }
  const claims = rows.filter((row) => isFreshClaim(row, nowMs))
  const own = claims.find((row) => text(row, 'host_id') === ownHostId)
  const best = ranked.find((host) => claims.some((row) => text(row, 'host_id') === host))
  if (best !== undefined && best !== ownHostId) return { kind: 'none' }
  if (own === undefined) {
    const turnMs = dueMs + rank * STEP_ASIDE_MS
    return nowMs < turnMs ? { kind: 'wait', untilMs: turnMs } : { kind: 'claim' }
  }
  const settledMs = number(own, 'updated_at') + CLAIM_SETTLE_MS
  return nowMs < settledMs ? { kind: 'wait', untilMs: settledMs } : { kind: 'order' }
}

/** Best first. Equal on all hosts. */
export function rankHosts(hostname: string, hosts: readonly string[]): readonly string[] {
  const weight = (host: string) =>
    createHash('sha256').update(`${hostname.toLowerCase()}\u0000${host}`).digest('hex')
  return hosts
    .map((host) => ({ host, weight: weight(host) }))
    .sort((a, b) => (a.weight < b.weight ? 1 : a.weight > b.weight ? -1 : 0))
    .map(({ host }) => host)
}

/** Two thirds into its life, and up to a twelfth of it later: names that came together do not renew together. */
export function renewAtMs(notBeforeMs: number, notAfterMs: number, random: number): number {
  const lifeMs = notAfterMs - notBeforeMs
  return Math.round(notBeforeMs + (lifeMs * 2) / 3 + (random * lifeMs) / 12)
}

/** When a name is due: at once without a certificate, else when its newest one is to be renewed. */
export function dueMsOf(rows: readonly PlatformRow[]): number {
  let dueMs = Number.NEGATIVE_INFINITY
  for (const row of rows) {
    if (text(row, 'source') !== 'acme' || text(row, 'chain_pem') === '') continue
    dueMs = Math.max(dueMs, number(row, 'renew_at'))
  }
  if (dueMs > 0) return dueMs
  return rows.reduce(
    (min, row) => Math.min(min, number(row, 'updated_at')),
    Number.MAX_SAFE_INTEGER,
  )
}

const isFreshClaim = (row: PlatformRow, nowMs: number) =>
  text(row, 'state') === CLAIM_STATE && nowMs - number(row, 'updated_at') < CLAIM_MS
