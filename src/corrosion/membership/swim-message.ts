import type { Identity, Rumour } from './member.ts'

/** What every datagram carries besides its kind. */
interface Envelope {
  readonly clusterId: number
  readonly from: Identity
  readonly incarnation: number
  /** Piggy-backed gossip, at most RUMOURS_MAX. */
  readonly rumours: readonly Rumour[]
}

/**
 * `ping` asks for an `ack` of the same probe. `pingRequest` asks a third node to ping `target` for
 * the sender; its `relayedAck` comes back with the sender's probe number. `announce` asks for a `feed`
 * of members. `gossip` only carries rumours.
 */
export type SwimBody =
  | { readonly kind: 'ping'; readonly probe: number }
  | { readonly kind: 'ack'; readonly probe: number }
  | { readonly kind: 'pingRequest'; readonly probe: number; readonly target: Identity }
  | { readonly kind: 'relayedAck'; readonly probe: number }
  | { readonly kind: 'announce' }
  | { readonly kind: 'feed' }
  | { readonly kind: 'gossip' }

export type SwimMessage = Envelope & SwimBody

/** Rumours in one datagram: with their addresses they fit into 1,178 bytes. */
export const RUMOURS_MAX = 14
