import { type Log, TokenBuckets } from '#base'
import type { Certificates } from '../certificates.ts'
import { STAGE_BYTES } from '../http2/frame-writer.ts'
import type { EventLoop } from '../net/event-loop.ts'
import { MemoryPool } from '../net/memory.ts'
import { Stage } from '../net/outbox.ts'
import type { AccessLog } from '../observe/access-log.ts'
import type { Counters } from '../observe/counters.ts'
import type { Router } from '../route.ts'
import { TlsContexts } from '../tls/tls-contexts.ts'
import type { BackendOwner } from './backend-owner.ts'
import { BackendPool } from './backend-pool.ts'
import { ClientSet } from './client-set.ts'
import { H2cSessions } from './h2c-sessions.ts'
import type { ProxyLimits } from './limits.ts'
import type { RemoteOpener } from './remote-opener.ts'
import { RequestIds } from './request-id.ts'
import type { TrustedBalancers } from './trusted-balancers.ts'
import { WebSockets } from './web-sockets.ts'

export interface EngineOptions {
  readonly loop: EventLoop
  readonly router: Router
  readonly limits: ProxyLimits
  /** The region of this edge, for Fly-Region and request ids. */
  readonly region: string
  readonly log: Log
  readonly counters: Counters
  readonly accessLog: AccessLog | undefined
  readonly certificates: Certificates
  /** Seals session tickets: TICKET_KEY_BYTES, the same wherever sessions are to be resumed. */
  readonly ticketKey: Uint8Array
  /** Undefined: there are no other hosts. */
  readonly openRemote: RemoteOpener | undefined
  readonly balancers: TrustedBalancers
}

/** Many addresses want the same name: that it may be wanted so much more often is enough. */
const SAME_NAME = 10
const SAVED_BYTES = 4 << 10
const WAITING_BYTES = 64 << 10

/** What all connections of one process share. */
export class Engine implements BackendOwner {
  readonly loop: EventLoop
  readonly router: Router
  readonly limits: ProxyLimits
  readonly region: string
  readonly log: Log
  readonly counters: Counters
  readonly accessLog: AccessLog | undefined
  readonly certificates: Certificates
  readonly tlsContexts: TlsContexts
  readonly openRemote: RemoteOpener | undefined
  readonly balancers: TrustedBalancers
  /** By client address, and by server name. */
  readonly handshakesOf: TokenBuckets
  readonly handshakesFor: TokenBuckets
  readonly requestIds: RequestIds
  /** Staged on their way to clients, and to machines. */
  readonly clientStage = new Stage()
  readonly backendStage = new Stage()
  /** Heads: partly received, and kept for another attempt. */
  readonly heads: MemoryPool
  /** Frames of one turn on their way to clients: of each HTTP/2 connection by itself. */
  readonly frames: MemoryPool
  /** Bytes that wait for slow peers. */
  readonly waiting: MemoryPool
  readonly backends: BackendPool
  readonly h2c: H2cSessions
  readonly clients: ClientSet
  readonly webSockets = new WebSockets()
  isDraining = false
  /** While draining: connections on which nothing goes on may ask once more. */
  keepsIdle = false

  constructor(options: EngineOptions) {
    this.loop = options.loop
    this.router = options.router
    this.limits = options.limits
    this.region = options.region
    this.log = options.log
    this.counters = options.counters
    this.accessLog = options.accessLog
    this.certificates = options.certificates
    this.openRemote = options.openRemote
    this.balancers = options.balancers
    const { tlsHandshakesPerSecond: perSecond, tlsHandshakesAtOnce: atOnce } = options.limits
    this.handshakesOf = new TokenBuckets(perSecond, atOnce)
    this.handshakesFor = new TokenBuckets(SAME_NAME * perSecond, SAME_NAME * atOnce)
    this.tlsContexts = new TlsContexts(options.ticketKey)
    this.requestIds = new RequestIds(options.region)
    this.heads = new MemoryPool({ size: SAVED_BYTES, bytesMax: options.limits.bufferBytesMax })
    this.frames = new MemoryPool({ size: STAGE_BYTES, bytesMax: options.limits.bufferBytesMax })
    this.waiting = new MemoryPool({ size: WAITING_BYTES, bytesMax: options.limits.bufferBytesMax })
    this.backends = new BackendPool(this)
    this.h2c = new H2cSessions(this)
    this.clients = new ClientSet(options.limits, options.counters)
  }
}
