export type FaultKind =
  | 'not_set_up'
  | 'firewall_missing'
  | 'machine_link_down'
  | 'program_missing'
  | 'link_broken'
  | 'port_blocked'
  | 'peer_stale'
  | 'mtu_hole'
  | 'gateway_missing'

export interface NetworkFault {
  readonly kind: FaultKind
  /** A notice may have a harmless reason. @default fault */
  readonly severity?: 'fault' | 'notice'
  /** Which machine, host or device. */
  readonly subject: string
  readonly what: string
  readonly fix: string
}
