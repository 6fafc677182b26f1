/**
 * corrosion: replicated SQLite without consensus. Owns nothing global: each host writes what is true of
 * itself, every host reads everything locally.
 * Reading order: changes/ (what travels), store/store.ts (tables, clocks, merge), gossip/ and membership/
 * (protocol cores), wire/ and transport/ (bytes and QUIC), agent/cluster-node.ts (all of it together),
 * subscriptions/ and api/ (what users see). docs/corrosion.md is the operator's manual.
 */
export { askAgent, refuseWhileRunning } from './agent/admin-client.ts'
export { Agent } from './agent/agent.ts'
export type { AgentConfig } from './agent/agent-config.ts'
export { loadAgentConfig } from './agent/agent-config.ts'
export type { ClusterNodeInit } from './agent/cluster-node.ts'
export { ClusterNode } from './agent/cluster-node.ts'
export { MemberWatch } from './agent/member-watch.ts'
export { writeTrialAgent } from './agent/trial-agent.ts'
export { ApiClient, asObject } from './api/api-client.ts'
export type { Following } from './api/follow-queries.ts'
export { followQueries } from './api/follow-queries.ts'
export type { FollowedQuery, JsonCell, JsonCells } from './api/query-feed.ts'
export type { ActorId } from './changes/actor-id.ts'
export { dashed, parseActorId } from './changes/actor-id.ts'
export { HybridClock } from './changes/hybrid-clock.ts'
export type { SqlValue } from './changes/sql-value.ts'
export { CorrosionError } from './errors.ts'
export type { Health, Identity, Rumour } from './membership/member.ts'
export { PLATFORM_SCHEMA } from './platform-schema.ts'
export { SchemaError } from './schema/errors.ts'
export { backup, restore } from './store/backup.ts'
export type { Committed, Settled, StoreOptions } from './store/store.ts'
export { Store } from './store/store.ts'
export { SubscriptionError } from './subscriptions/errors.ts'
export type { QueryChange, QuerySubscriber } from './subscriptions/live-query.ts'
export { LiveQuery } from './subscriptions/live-query.ts'
export { Subscriptions } from './subscriptions/subscriptions.ts'
export type { BundledAuthority } from './transport/ca-bundle.ts'
export { authoritiesIn, rootOf } from './transport/ca-bundle.ts'
export type {
  CertificateAuthority,
  CertificateRequest,
  IssuedCertificate,
} from './transport/cluster-ca.ts'
export {
  generateCertificateRequest,
  generateClientCertificate,
  generateClusterCa,
  generateJoiningCa,
  generateServerCertificate,
  mayMakeAuthorities,
  signCertificateRequest,
} from './transport/cluster-ca.ts'
export { TransportError } from './transport/errors.ts'
export { openQuicTransport } from './transport/quic-transport.ts'
export type { BiSession, Transport, TransportHandlers } from './transport/transport.ts'
