import type { Abuse } from './peer-budget.ts'
import type { ServerStream } from './server-stream.ts'

/** What a connection tells its owner. */
export interface ConnectionUser {
  /** A stream object that is not in use. */
  takeStream(): ServerStream
  /** It is over, and not in use any more. */
  closedStream(stream: ServerStream): void
  /** The peer did too much that costs and brings nothing: no word more. @param code for the counters */
  abused(code: Abuse): void
  /** The key of an HTTP/1.1 upgrade (RFC 6455, section 4.1). */
  webSocketKey(): string
}
