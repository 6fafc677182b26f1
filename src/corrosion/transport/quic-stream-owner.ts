import type { Quiche } from '@matrixai/quic/native/quiche.js'
import type { Connection } from '@matrixai/quic/native/types.js'
import type { Clock } from '#base'
import type { BiSession, TransportCounters } from './transport.ts'

/** Who hears what comes on the streams of connections. */
export interface StreamListener {
  readonly quiche: Quiche
  readonly clock: Clock
  readonly counters: TransportCounters
  frameReceived(payload: Uint8Array, from: string): void
  sessionOpened(session: BiSession): void
}

/** What streams need of the connection that owns them. */
export interface QuicStreamOwner {
  readonly owner: StreamListener
  readonly connection: Connection
  readonly role: 'server' | 'client'
  /** `host:port` of the peer. */
  readonly address: string
  readonly isOpen: boolean
  /** Something was given to it that the peer must answer. */
  noteSend(): void
  /** `flush`, once all that is done now has been done. */
  flushSoon(): void
}
