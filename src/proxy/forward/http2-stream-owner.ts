import type { RequestHop } from '../http1/write-request.ts'
import type { ServerConnection } from '../http2/server-connection.ts'
import type { ConnectionFacts, Entrance } from '../route.ts'
import type { Engine } from './engine.ts'
import type { Tunnel } from './tunnel.ts'

/** A stream that has sent data towards its machine. */
export interface FedStream {
  /** All that came in this read is there. */
  flushRequest(): void
}

/** What a stream needs of the connection of a client that owns it. */
export interface Http2StreamOwner {
  readonly engine: Engine
  readonly facts: ConnectionFacts
  /** Of the client. */
  readonly address: string
  readonly entrance: Entrance
  readonly serverName: string
  readonly hop: RequestHop
  readonly connection: ServerConnection
  /** WebSockets that came over it; one may outlive its stream, until its machine has all. */
  readonly tunnels: Set<Tunnel>
  /** Responses may go on. */
  readonly takesResponse: boolean
  /** The stream's machine has bytes in its outbox. */
  fed(stream: FedStream): void
  /** So much more (or, below 0, less) of responses waits for windows. */
  hold(bytes: number): void
  /** What was written goes out when all of this turn was written. HOT. */
  flush(): void
}
