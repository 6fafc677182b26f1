import type { MachineId } from '#base'
import type { TrafficPolicy } from '../programs/traffic-policy.ts'

/** What a machine's network is to be. Network and kind are the same for an id always: `make` refuses others. */
export interface MachineNetworkSpec {
  readonly id: MachineId
  /** 6PN network: of the organisation, or one of its custom networks. */
  readonly networkId: number
  /** Decides what stands in the namespace: the interface itself, or a tap that a VMM opens. */
  readonly kind: 'container' | 'vm'
  /** Who may open the tap, when the VMM does not run as root. */
  readonly tapOwner?: { readonly uid: number; readonly gid: number }
  /** What the machine may send and receive, bytes a second. @default unlimited */
  readonly sendBytesPerS?: number
  readonly receiveBytesPerS?: number
  /** What an app's network policies let through. @default what the machine had; at first, everything */
  readonly policy?: TrafficPolicy
}

/** A network that stands. */
export interface MachineNetwork {
  readonly id: MachineId
  readonly networkId: number
  /** For the runtime: a `GuestNetwork` of src/guest/guest-spec.ts. */
  readonly guest: {
    readonly netnsPath: string
    readonly device: string
    readonly mac: string
    readonly mtuBytes: number
  }
  /** For init: the parts of its `GuestConfig` that speak of the network. */
  readonly init: {
    readonly links: readonly { readonly name: string; readonly mtuBytes: number }[]
    readonly addresses: readonly {
      readonly link: string
      readonly cidr: string
      readonly gateway?: string
    }[]
    readonly nameservers: readonly string[]
    readonly hosts: readonly { readonly address: string; readonly names: readonly string[] }[]
  }
  /** 6PN address: `machines.private_ip`, and FLY_PRIVATE_IP inside. */
  readonly privateIp: string
  /** Where the host's proxy finds it: `machines.private_ipv4`. */
  readonly privateIpv4: string
  /** Where public UDP arrives: fly-global-services. */
  readonly globalServicesIpv4: string
  /** The host's end of its link: where it is counted, shaped and captured. */
  readonly hostDevice: string
}

/** What of a machine's network is there. */
export interface MachineNetworkState extends MachineNetwork {
  /** False: only its record is, as after a reboot; `make` brings the rest back with the same addresses. */
  readonly isUp: boolean
}
