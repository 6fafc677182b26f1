import type { MachineId } from '#base'
import type { MachineNetwork } from '#machine'

/**
 * The port to whatever gives machines of the local mode a network. #net6 gives those of a fleet theirs.
 * Everything is named after the machine's id: each call may be repeated, by another process too.
 */
export interface LocalNetworks {
  /** @param index a small number that no other machine of this host has. */
  make(id: MachineId, index: number): Promise<MachineNetwork>
  /** Runs twice, and without any. */
  remove(id: MachineId): Promise<void>
}
