/**
 * dns: names inside machines and for WireGuard peers, and the public zone of an operator. Reading order:
 * wire/ (packets), directory/ (the rows in memory), zone/ (what a name has), upstream/ (public names),
 * resolver.ts (which of these answers), prepared-replies.ts (what it answers again), server/ (sockets), rows/ (what
 * corrosion says), run/ (the daemon). docs/dns.md lists the names.
 */
export type { Caller } from './directory/directory.ts'
export { Directory } from './directory/directory.ts'
export type { Place } from './directory/nearness.ts'
export type { DnsRows, RowChange } from './directory/rows.ts'
export { ipv6Bytes, ipv6Text } from './directory/six-pn.ts'
export { DnsError } from './errors.ts'
export type { Handler } from './resolver.ts'
export { authority, resolver } from './resolver.ts'
export { followRows } from './rows/follow-rows.ts'
export { askAdmin } from './run/admin.ts'
export type { DnsConfig } from './run/dns-config.ts'
export { loadDnsConfig } from './run/dns-config.ts'
export type { ExplainQuestion, Explanation } from './run/explain.ts'
export type { RunningDns } from './run/open-dns.ts'
export { openDns } from './run/open-dns.ts'
export { ClientLimits } from './server/client-limits.ts'
export { listenTcp } from './server/tcp.ts'
export { listenUdp } from './server/udp.ts'
export { Upstream } from './upstream/upstream.ts'
export { InternalZone } from './zone/internal-zone.ts'
export { PublicZone } from './zone/public-zone.ts'
