import { errorCode } from '#base'
import { Cgroup } from './cgroup/cgroup.ts'
import type { GuestSpec } from './guest-spec.ts'
import { ended } from './guest-state.ts'
import type { CpuBandwidth } from './quota.ts'

/** @throws GuestError guest.ended: its control groups are gone */
export function setBandwidth(spec: GuestSpec, bandwidth: CpuBandwidth): void {
  try {
    new Cgroup(spec.id).setBandwidth(bandwidth)
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') throw ended(spec, cause)
    throw cause
  }
}
