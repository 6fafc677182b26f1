/**
 * observe: what machines say, from their host to whoever reads it. Owns the log in NATS JetStream.
 * Reading order: logs/log-entry.ts, logs/line-splitter.ts and logs/log-queue.ts (no I/O),
 * logs/log-shipper.ts (a host sends), logs/log-stream.ts, logs/log-reader.ts (the API reads), feed/feed-session.ts (the log
 * stream of organisations, no I/O), feed/serve-feed.ts; metrics/metric-family.ts and what stands beside it: figures, as
 * Prometheus writes and selects them.
 */
export type { ObserveErrorCode } from './errors.ts'
export { ObserveError } from './errors.ts'
export type { FeedAccess, FeedReader } from './feed/feed-session.ts'
export type { FeedOptions } from './feed/serve-feed.ts'
export { LogFeed } from './feed/serve-feed.ts'
export { keepLogStream } from './logs/keep-log-stream.ts'
export { LineSplitter } from './logs/line-splitter.ts'
export type { LogEntry, LogFilter, LogLevel, LogProvider, LogSource } from './logs/log-entry.ts'
export type { LogQueueLimits } from './logs/log-queue.ts'
export type { LogPage, PlacedEntry, ReadOptions } from './logs/log-reader.ts'
export { LogReader } from './logs/log-reader.ts'
export type { LogShipperOptions, LogWriter } from './logs/log-shipper.ts'
export { LogShipper } from './logs/log-shipper.ts'
export type { LogRetention } from './logs/log-stream.ts'
export { ensureLogStream, LOG_STREAM } from './logs/log-stream.ts'
export type { Figure, Labels, MetricFamily, MetricType, Series } from './metrics/metric-family.ts'
export { MetricSet } from './metrics/metric-set.ts'
export { parseMetrics } from './metrics/parse-metrics.ts'
export type { Selector } from './metrics/selector.ts'
export { parseSelectors } from './metrics/selector.ts'
