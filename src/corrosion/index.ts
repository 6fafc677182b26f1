/**
 * corrosion: replicated SQLite without consensus. Owns nothing global: each host writes what is true of
 * itself. There today: membership, as a protocol core without I/O; the wire format of changes and of
 * membership; the transport between agents, and the certificates of a cluster.
 * Reading order: membership/member.ts (what is said of a node), membership/swim.ts (the protocol),
 * membership/swim.sim.ts (its promises); changes/changeset.ts, wire/broadcast.ts, wire/sync-message.ts;
 * transport/transport.ts, transport/transport-contract.ts (its promises), transport/quic-link.ts.
 */
export type { Health, Identity, Rumour } from './membership/member.ts'
export type { SwimAction, SwimEvent } from './membership/swim.ts'
export { Swim } from './membership/swim.ts'
export type { SwimMessage } from './membership/swim-message.ts'
export { RUMOURS_MAX } from './membership/swim-message.ts'
export type { SwimOptions } from './membership/swim-options.ts'
export { DEFAULT_SWIM_OPTIONS } from './membership/swim-options.ts'
export type { CertificateAuthority, IssuedCertificate } from './transport/cluster-ca.ts'
export {
  generateClientCertificate,
  generateClusterCa,
  generateServerCertificate,
} from './transport/cluster-ca.ts'
export { TransportError } from './transport/errors.ts'
export { WireError } from './wire/errors.ts'
