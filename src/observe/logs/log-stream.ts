import {
  DiscardPolicy,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'

/** The stream in which every server of the cluster keeps the log. */
export const LOG_STREAM = 'LOGS'

export interface LogRetention {
  /** @default 7 days */
  readonly ageMs?: number
  /** Lines of each machine. @default 5,000 */
  readonly linesPerMachine?: number
  /** Of the whole log. At most what the servers were given for it (`logs.bytesMax`). */
  readonly bytesMax: number
  /** Servers that keep a copy. @default 1 */
  readonly replicas?: number
}

const NS_PER_MS = 1_000_000
const WEEK_MS = 7 * 86_400_000

/**
 * Makes the stream, or brings it to these bounds. May be called by many at once. What is too old or too
 * much goes, oldest first, for each machine by itself: one that floods the log shortens nobody's history
 * but its own.
 */
export async function ensureLogStream(
  connection: NatsConnection,
  { ageMs = WEEK_MS, linesPerMachine = 5_000, bytesMax, replicas = 1 }: LogRetention,
): Promise<void> {
  const manager = await jetstreamManager(connection)
  const config: Partial<StreamConfig> & { name: string } = {
    name: LOG_STREAM,
    subjects: ['logs.*.*.*'],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.Old,
    max_age: ageMs * NS_PER_MS,
    max_bytes: bytesMax,
    max_msgs_per_subject: linesPerMachine,
    num_replicas: replicas,
    no_ack: true,
  }
  try {
    await manager.streams.update(LOG_STREAM, config)
  } catch (error) {
    if (!isUnknownStream(error)) throw error
    await manager.streams.add(config)
  }
}

/** Source: NATS JetStream API, error 10059 "stream not found". */
function isUnknownStream(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  const message = error instanceof Error ? error.message : ''
  return code === 10_059 || code === 404 || /stream not found/i.test(message)
}
