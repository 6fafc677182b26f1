/**
 * market: how a new machine finds its host. Owns the capacity book of a host, bids, ranking and
 * placement; flaps asks (NatsPlacer), flyd bids (serveBids). What exists already starts, stops and
 * ends without it. Reading order: placement-request.ts, capacity-book.ts, bidder.ts, ranking.ts,
 * placement.ts (all decisions, no I/O), subjects.ts, then the shells nats-placer.ts, serve-bids.ts.
 */
export type { HostCapacity, Load, Utilisation } from './capacity.ts'
export type { BookOptions, Hold, HostMode, Purpose } from './capacity-book.ts'
export { CapacityBook } from './capacity-book.ts'
export type { MarketErrorCode } from './errors.ts'
export { MarketError } from './errors.ts'
export type { ClientId, HostFacts, HostId, HostView, Region } from './host.ts'
export { parseClientId, parseHostId, parseRegion } from './host.ts'
export type { NatsServerConfig, NatsUser } from './nats-config.ts'
export { NATS_PORT, natsServerConfig, natsUrls } from './nats-config.ts'
export type { NatsLinkOptions } from './nats-link.ts'
export { NatsLink } from './nats-link.ts'
export type { NatsPlacerOptions, PlacerCounters } from './nats-placer.ts'
export { NatsPlacer } from './nats-placer.ts'
export type { NatsServer, NatsServerOptions } from './nats-server.ts'
export { startNatsServer } from './nats-server.ts'
export type { CpuKind, Guest, Needs } from './needs.ts'
export type { Placement } from './placement.ts'
export { PlacementError } from './placement-error.ts'
export type { PlacementLimits } from './placement-limits.ts'
export type { PlacementRequest } from './placement-request.ts'
export type { PlaceCall, Placer } from './placer.ts'
export type { RankingOptions } from './ranking.ts'
export type { HostRefusal, Refusal, RefusalReason } from './refusal.ts'
export { refusalText } from './refusal.ts'
export type { BidCounters, BidServer, ServeBidsOptions } from './serve-bids.ts'
export { serveBids } from './serve-bids.ts'
