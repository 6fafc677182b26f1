import { HOST_DEVICE_PREFIX } from './machine/link-names.ts'
import { GLOBAL_SERVICES_MASK, POOL } from './machine/private-ipv4.ts'
import { BACKHAUL_PREFIX } from './six-pn-address.ts'

export const FIREWALL_TABLE = 'godwit_net6'

/**
 * The part of the rules that needs connections' states: machines reach the internet under the host's own
 * addresses, and nobody reaches a machine unasked. What hosts serve each other at their addresses on the mesh is
 * reached by the mesh alone: the kernel would take it at any interface. What a machine sends by UDP from its address of
 * fly-global-services is the proxy's to hand on, which takes it before these rules. All else is the programs' matter.
 * Replaced in one transaction; connections under way keep their state.
 */
export function firewallRules(): string {
  const machines = `"${HOST_DEVICE_PREFIX}*"`
  const { mask, value } = GLOBAL_SERVICES_MASK
  return `table inet ${FIREWALL_TABLE}
delete table inet ${FIREWALL_TABLE}
table inet ${FIREWALL_TABLE} {
  counter unasked { comment "packets to machines that belong to no connection of theirs" }
  counter outside { comment "packets to this host's address on the mesh that did not come by it" }
  counter strayed { comment "packets between machines, or machines and the mesh, past the programs" }
  counter answers { comment "answers to public UDP, which the proxy hands on" }
  chain before {
    type filter hook prerouting priority raw; policy accept;
    iifname ${machines} ip saddr & ${mask} == ${value} meta l4proto udp notrack
  }
  chain output {
    type filter hook output priority raw; policy accept;
    oifname ${machines} ip daddr & ${mask} == ${value} meta l4proto udp notrack
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "lo" accept
    iifname "gwmesh*" accept
    iifname "gwssh*" counter name strayed drop
    ip6 daddr ${BACKHAUL_PREFIX} counter name outside drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname ${machines} oifname ${machines} counter name strayed drop
    oifname "gwmesh*" counter name strayed drop
    iifname "gwmesh*" counter name strayed drop
    iifname "gwpeer*" counter name strayed drop
    oifname "gwpeer*" counter name strayed drop
    iifname "gwssh*" counter name strayed drop
    oifname "gwssh*" counter name strayed drop
    iifname ${machines} ip saddr & ${mask} == ${value} meta l4proto { udp, icmp } counter name answers drop
    oifname ${machines} ct state established,related accept
    oifname ${machines} counter name unasked drop
    iifname ${machines} ip saddr != ${POOL} counter name strayed drop
    iifname ${machines} tcp flags syn / syn,rst tcp option maxseg size set rt mtu
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${POOL} oifname != ${machines} oifname != "lo" masquerade
    ip6 saddr fdaa::/16 oifname != ${machines} oifname != "gwmesh*" oifname != "gwpeer*" oifname != "lo" masquerade
  }
}
`
}
