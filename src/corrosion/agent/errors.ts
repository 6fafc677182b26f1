import { GodwitError } from '#base'

export type SyncErrorCode = keyof typeof SyncError.catalogue

/** Why comparing with a peer came to nothing. The next round asks others. */
export class SyncError extends GodwitError<SyncErrorCode> {
  static override readonly catalogue = {
    'sync.peer_busy': { status: 503, transient: true },
    'sync.other_cluster': { status: 409 },
    'sync.out_of_turn': { status: 502 },
  } as const
}
