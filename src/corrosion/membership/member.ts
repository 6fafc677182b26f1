/** Who a node is. Every restart, and every return from being declared down, makes a newer one. */
export interface Identity {
  /** The node for life (a UUID). */
  readonly id: string
  /** Where its datagrams go. */
  readonly address: string
  /** When this identity was taken on; the larger one of the same id is the newer one. */
  readonly renewedAt: number
}

export type Health = 'alive' | 'suspect' | 'down'

/** What one node says of another (or of itself): the unit that gossip spreads. */
export interface Rumour {
  readonly identity: Identity
  /** Raised by the member itself, and by nobody else, to refute a suspicion. */
  readonly incarnation: number
  readonly health: Health
}

const rank: Readonly<Record<Health, number>> = { alive: 0, suspect: 1, down: 2 }

/**
 * True when `news` says more than what is known. A newer identity beats everything of an older one;
 * down is final for its identity; then the larger incarnation wins; then the worse health.
 * Source: SWIM (Das, Gupta, Motivala 2002), section 4.2; identities as foca renews them.
 */
export function supersedes(news: Rumour, known: Rumour): boolean {
  if (news.identity.renewedAt !== known.identity.renewedAt) {
    return news.identity.renewedAt > known.identity.renewedAt
  }
  if (known.health === 'down') return false
  if (news.health === 'down') return true
  if (news.incarnation !== known.incarnation) return news.incarnation > known.incarnation
  return rank[news.health] > rank[known.health]
}
