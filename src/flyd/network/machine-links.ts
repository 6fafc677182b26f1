import type { MachineNetwork as GuestAddresses } from '#machine'
import type { TrafficPolicy } from '#net6'

/**
 * The port to whatever joins machines to a network. Everything is named after the machine's id: each call
 * may be repeated, by another process too, and `make` gives the same addresses until `remove`.
 */
export interface MachineLinks {
  make(spec: LinkSpec, signal: AbortSignal): Promise<MachineLink>
  /** The machine keeps its addresses. Runs twice, and without any. */
  takeDown(id: string, signal: AbortSignal): Promise<void>
  /** Its addresses are given up, too. Runs twice, and without any. */
  remove(id: string, signal: AbortSignal): Promise<void>
  /** Those that are up. */
  standing(signal: AbortSignal): Promise<readonly MachineLink[]>
  /** Machines of which anything is there: an address, a link, a namespace. */
  ids(signal: AbortSignal): Promise<readonly string[]>
}

export interface LinkSpec {
  readonly id: string
  /** 6PN network. */
  readonly networkId: number
  /** Undefined: nobody can tell now. Those that it had go on; one that was never here is not made. */
  readonly policy: TrafficPolicy | undefined
}

export interface MachineLink {
  readonly id: string
  /** For the runtime and for init. */
  readonly guest: GuestAddresses
  /** 6PN. */
  readonly privateIp: string
  /** Where this host reaches the machine, beside its 6PN address. */
  readonly privateIpv4: string
}
