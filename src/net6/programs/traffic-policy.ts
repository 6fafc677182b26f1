/**
 * What an app's network policies come to for one machine. A direction that is absent is open; one that is there is
 * open to what it lists alone, and to the replies of what was let through.
 */
export interface TrafficPolicy {
  /** Ports of the machine that others may open connections to. */
  readonly ingress?: readonly PolicyPort[]
  /** Ports, of whomever, that the machine may open connections to. */
  readonly egress?: readonly PolicyPort[]
}

export interface PolicyPort {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
}

/** Of one direction. As native/bpf/layout.h has it. */
export const POLICY_PORTS_MAX = 64

export const OPEN_TRAFFIC: TrafficPolicy = {}

/** Bits, as in native/bpf/layout.h. 0: nothing is policed. */
export const policedDirections = ({ ingress, egress }: TrafficPolicy): number =>
  (ingress === undefined ? 0 : 1) + (egress === undefined ? 0 : 2)
