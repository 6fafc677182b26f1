/** Bounds of the decisions. All times in milliseconds. */
export interface RoutingLimits {
  /** A request waits so long for a machine that is full, unhealthy or being started. */
  readonly waitMs: number
  /** Requests of one app and port that wait at a time. More are refused at once. */
  readonly waitingPerRoute: number
  /** Of all apps. */
  readonly waitingTotal: number
  /** Attempts of one request, then PR03 (HTTP) or PR01 (TCP). */
  readonly attempts: number
  /** Attempts at a machine that the request insists on. */
  readonly forcedAttempts: number
  /** A request is replayed at most so often, then PA02. */
  readonly replays: number
  /** Of a request's body, kept for a retry or a replay; more makes both impossible (PA01). */
  readonly keepBodyBytes: number
  /** Requests in replay that are remembered between two attempts. */
  readonly replaysRemembered: number
  /** Entries of the replay cache. */
  readonly replayCacheEntries: number
}

export const ROUTING_LIMITS: RoutingLimits = {
  waitMs: 60_000,
  waitingPerRoute: 2_000,
  waitingTotal: 20_000,
  attempts: 90,
  forcedAttempts: 10,
  replays: 10,
  keepBodyBytes: 1 << 20,
  replaysRemembered: 10_000,
  replayCacheEntries: 100_000,
}
