import { refuse } from './errors.ts'
import type { Fleet } from './machine-host.ts'

/** Of an installation whose hosts have no API yet: all that is answered without a host works. */
export const absentFleet: Fleet = {
  host(hostId) {
    throw refuse('flaps.host_unreached', `unavailable: host ${hostId} cannot be reached`)
  },
}
