/**
 * Why a packet was dropped, in the order of `enum drop_reason` in native/bpf/layout.h, whose numbers are
 * indexes here. Names are API: metrics and scripts have them.
 */
export const DROP_REASONS = [
  'none',
  'malformed',
  'ethertype',
  'mac_spoofed',
  'source_spoofed',
  'arp_spoofed',
  'neighbour_spoofed',
  'router_advertisement',
  'multicast',
  'link_local',
  'ip_options',
  'extension_header',
  'fragment',
  'host_service',
  'other_network',
  'denied_destination',
  'flycast_unknown',
  'machine_unknown',
  'host_unknown',
  'hop_limit',
  'rate',
  'not_for_machine',
  'ingress_policy',
  'egress_policy',
] as const

export type DropReason = (typeof DROP_REASONS)[number]

/** Packets by reason; a reason that never was is absent. */
export type Drops = Partial<Record<DropReason, number>>

/** What each reason means, for people who ask why nothing arrives. */
export const DROP_MEANINGS: Readonly<Record<DropReason, string>> = {
  none: 'not dropped',
  malformed: 'a header was cut short or made no sense',
  ethertype: 'neither ARP, IPv4 nor IPv6, or with a VLAN tag',
  mac_spoofed: "from another MAC address than the machine's, or not to its gateway",
  source_spoofed: 'from an IP address that the machine does not have',
  arp_spoofed: 'an ARP message that speaks for others',
  neighbour_spoofed: 'a neighbour message that speaks for others, or that travels',
  router_advertisement: 'a router message: machines are no routers',
  multicast: 'multicast or broadcast, which the private network does not carry',
  link_local: 'to a link-local address',
  ip_options: 'IPv4 options',
  extension_header: 'an IPv6 extension header that is not let through',
  fragment: 'a fragment for the host itself',
  host_service: 'to something of the host that machines may not use',
  other_network: "to or from another organisation's network",
  denied_destination: "to a private or reserved address, or to what the operator's list denies",
  flycast_unknown: 'to a flycast address that nobody has in this network',
  machine_unknown: 'no such machine on the host that the address names',
  host_unknown: 'no way to the host that the address names',
  hop_limit: 'its hop limit ran out',
  rate: 'more than the machine may send',
  not_for_machine: 'to an address that the machine does not have',
  ingress_policy: "to a port of the machine that the app's network policies do not allow",
  egress_policy: "from the machine to a port that the app's network policies do not allow",
}
