/**
 * How agents reach each other. Three ways, by what a message is worth: a datagram may be lost; a frame
 * on the uni stream of a peer arrives, in order, or is dropped when the peer is too slow or away, which
 * sync repairs later; a session carries frames both ways with back-pressure.
 *
 * Addresses are text, `192.0.2.1:8787` or `[2001:db8::1]:8787`. Who is at one is known: a transport
 * only speaks to members of its cluster.
 */
export interface Transport {
  /** Under which peers reach this one. */
  readonly address: string
  readonly counters: Readonly<TransportCounters>
  /** @param bytes at most DATAGRAM_BYTES_MAX, not to be changed afterwards. @returns false: dropped, and counted. */
  sendDatagram(to: string, bytes: Uint8Array): boolean
  /** @param frame with its length in front; not to be changed afterwards. @returns false: dropped, and counted. */
  sendUni(to: string, frame: Uint8Array): boolean
  /**
   * @throws TransportError transport.unreachable, .peer_refused, .address_bad, .too_many, .closed;
   * BaseError base.deadline_exceeded; or the signal's reason
   */
  openBi(to: string, options?: WaitOptions): Promise<BiSession>
  /** Round trip of the connection to a peer; undefined while there is none. */
  rttMs(to: string): number | undefined
  /** Ends all sessions and connections. May be called twice. */
  close(): Promise<void>
}

export interface WaitOptions {
  readonly deadlineMs?: number
  readonly signal?: AbortSignal | undefined
}

/** What came in. Handlers return soon, and keep what they are given: nobody else writes to it. */
export interface TransportHandlers {
  datagramReceived(bytes: Uint8Array, from: string): void
  /** @param payload of one frame, without its length */
  frameReceived(payload: Uint8Array, from: string): void
  /** The handler owns the session, and ends it. */
  sessionOpened(session: BiSession): void
}

/** A stream of frames in both directions. One send and one receive at a time. */
export interface BiSession {
  readonly peer: string
  /**
   * Resolves when the network took it all: a peer that does not read makes this wait. When time is up
   * the session is reset.
   * @param frame with its length in front
   * @throws TransportError transport.deadline_exceeded, .session_reset, .closed, or the signal's reason
   */
  send(frame: Uint8Array, options?: WaitOptions): Promise<void>
  /**
   * The payload of the next frame; null when the peer has said all. When time is up the session is reset.
   * @throws TransportError as `send`; WireError wire.frame_too_large
   */
  receive(options?: WaitOptions): Promise<Uint8Array | null>
  /** Nothing more will be sent; receiving goes on. */
  finish(): void
  /** Gives the session up at once. May be called at any time, and twice. */
  reset(): void
}

/** Since the transport was opened. Bytes are those of UDP payloads. */
export interface TransportCounters {
  bytesSent: number
  bytesReceived: number
  packetsSent: number
  /** The system refused them: no route, or no buffers. */
  packetsUnsent: number
  packetsReceived: number
  /** Garbage, packets of connections that ended, and more strangers than may knock at once. */
  packetsIgnored: number
  datagramsSent: number
  datagramsReceived: number
  datagramsDropped: number
  framesSent: number
  framesReceived: number
  framesDropped: number
  /** Streams of frames that held none, or too large ones. */
  streamsRefused: number
  connectsFailed: number
  connectionsOpened: number
  sessionsOpened: number
  sessionsAccepted: number
}

export function newCounters(): TransportCounters {
  return {
    bytesSent: 0,
    bytesReceived: 0,
    packetsSent: 0,
    packetsUnsent: 0,
    packetsReceived: 0,
    packetsIgnored: 0,
    datagramsSent: 0,
    datagramsReceived: 0,
    datagramsDropped: 0,
    framesSent: 0,
    framesReceived: 0,
    framesDropped: 0,
    streamsRefused: 0,
    connectsFailed: 0,
    connectionsOpened: 0,
    sessionsOpened: 0,
    sessionsAccepted: 0,
  }
}

export const DATAGRAM_BYTES_MAX = 1_200
export const CONNECT_DEADLINE_MS = 5_000
/** Of one send or one receive, where the caller says nothing else. */
export const SESSION_WAIT_MS = 5_000
/** What waits for a peer at most, while it is slow or its connection is being made. */
export const OUTBOX_FRAMES_MAX = 2_048
export const OUTBOX_FRAME_BYTES_MAX = 16 * 1024 * 1024
export const OUTBOX_DATAGRAMS_MAX = 128
