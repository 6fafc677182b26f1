import type { MachineHost } from '#flyd'

/** Finds the client for a host's API by the id of its rows. */
export interface Fleet {
  /** @throws FlydError flyd.host_unreached: no such host, or it is gone */
  host(hostId: string): MachineHost
}
