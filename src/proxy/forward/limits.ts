/** Every bound of the data plane, with its unit. docs/proxy.md explains each to operators. */
export interface ProxyLimits {
  /** Connections of clients in one process. */
  readonly connectionsMax: number
  /** Of one client address (IPv6: of one /64). */
  readonly connectionsPerAddressMax: number
  /** Bytes that wait for slow peers, in one process. */
  readonly bufferBytesMax: number
  /** Start line and fields of a request or response. */
  readonly headBytesMax: number
  readonly targetBytesMax: number
  /** From a request's first byte to the end of its head. */
  readonly headersReadMs: number
  /** Between two requests of a connection. */
  readonly keepAliveIdleMs: number
  /** Without a byte in either direction during an exchange. */
  readonly exchangeIdleMs: number
  /** A request body must come at least this fast once `bodyGraceMs` has passed. */
  readonly bodyBytesPerSecondMin: number
  readonly bodyGraceMs: number
  /** A tunnel whose one direction has ended, without a byte in the other. */
  readonly halfClosedMs: number
  readonly connectMs: number
  readonly tlsHandshakeMs: number
  /** Handshakes of one client address (IPv6: of one /64), and for one server name. */
  readonly tlsHandshakesPerSecond: number
  readonly tlsHandshakesAtOnce: number
  /** After an error response, for the client to read it. */
  readonly lingerMs: number
  /** Requests sent over one client connection before it is closed. */
  readonly requestsPerConnectionMax: number
  /** Idle connections kept to one machine. */
  readonly idlePerMachineMax: number
  readonly backendIdleMs: number
  /** Attempts of one request, the first included. Documented: 90. */
  readonly attemptsMax: number
  /** Open streams of one HTTP/2 connection. */
  readonly streamsMax: number
  /** Responses that are compressed at one time in one process; those above go as they are. */
  readonly compressionsMax: number
}

export const defaultLimits: ProxyLimits = {
  connectionsMax: 100_000,
  connectionsPerAddressMax: 2048,
  bufferBytesMax: 256 << 20,
  headBytesMax: 32 << 10,
  targetBytesMax: 8 << 10,
  headersReadMs: 10_000,
  keepAliveIdleMs: 75_000,
  exchangeIdleMs: 120_000,
  bodyBytesPerSecondMin: 256,
  bodyGraceMs: 30_000,
  halfClosedMs: 60_000,
  connectMs: 5_000,
  tlsHandshakeMs: 10_000,
  tlsHandshakesPerSecond: 200,
  tlsHandshakesAtOnce: 2_000,
  lingerMs: 2_000,
  requestsPerConnectionMax: 100_000,
  idlePerMachineMax: 256,
  backendIdleMs: 4_000,
  attemptsMax: 90,
  streamsMax: 128,
  compressionsMax: 256,
}
