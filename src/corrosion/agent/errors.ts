import { GodwitError } from '#base'

export type SyncErrorCode = keyof typeof SyncError.catalogue

/** What can go wrong between agents, and between an agent and who commands it. */
export class SyncError extends GodwitError<SyncErrorCode> {
  static override readonly catalogue = {
    'sync.peer_busy': { status: 503, transient: true },
    'sync.other_cluster': { status: 409 },
    'sync.out_of_turn': { status: 502 },
    'sync.too_long': { status: 504, transient: true },
    'sync.address_bad': { status: 422 },
    /** A command that the admin socket does not know. */
    'sync.command_bad': { status: 400 },
    'sync.command_failed': { status: 400 },
    'sync.agent_running': { status: 409 },
    'sync.agent_away': { status: 503, transient: true },
  } as const
}
