import { connect } from 'node:net'
import { backoffMs, type Clock, type Log, type Random } from '#base'
import { PING_MS } from './link-core.ts'
import { LinkSocket } from './link-socket.ts'
import type { ResetReason, StreamHandlers } from './link-stream.ts'
import type { OpenFacts } from './open-facts.ts'

export interface DialerOptions {
  readonly ownHostId: string
  /** On which every host's proxy listens for the backhaul. */
  readonly port: number
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Several, so that a lost packet holds up only a part of the streams. @default 2 */
  readonly linksPerHost?: number
  /** A host's path was lost, or is there again: see RoutingTable.setReachable. */
  readonly reachable: (hostId: string, isReachable: boolean) => void
  readonly measured: (hostId: string, rttUs: number) => void
  /** A host is about to stop a machine. */
  readonly leaving: (hostId: string, machine: string) => void
}

/** One end of a stream. Bytes are sent in order; see LinkCore for each call. */
export interface BackhaulStream {
  send(chunk: Buffer): boolean
  end(isReusable?: boolean): void
  reset(reason: ResetReason): void
  consumed(bytes: number): void
}

interface Peer {
  readonly hostId: string
  address: string
  readonly links: Set<LinkSocket>
  failures: number
  isReachable: boolean
  redialTimer: Disposable | undefined
}

const REDIAL = { baseMs: 100, capMs: 2_000 }
const DIAL_MS_MAX = 1_000

/**
 * The edge's end of the backhaul: a few links to every host that requests went to, kept open. A path that is lost
 * is noticed in under a second by its silence, its streams are reset, and the host counts as unreachable until a
 * link stands again.
 */
export class BackhaulDialer {
  readonly #options: DialerOptions
  readonly #linksPerHost: number
  readonly #peers = new Map<string, Peer>()
  #ticker: Disposable | undefined
  #isClosed = false

  constructor(options: DialerOptions) {
    this.#options = options
    this.#linksPerHost = options.linksPerHost ?? 2
    this.#tick()
  }

  /**
   * Opens a stream to a machine of a host, which may be sent to at once. Refusal, acceptance and the end of the
   * path come by the handlers.
   * @returns undefined: the host is known to be unreachable, or takes no more
   */
  open(
    hostId: string,
    address: string,
    facts: OpenFacts,
    handlers: StreamHandlers,
  ): BackhaulStream | undefined {
    const peer = this.#peer(hostId, address)
    if (!peer.isReachable) return undefined
    while (peer.links.size < this.#linksPerHost) this.#dial(peer)
    let best: LinkSocket | undefined
    for (const link of peer.links) {
      if (link.core.isGoingAway) continue
      if (best === undefined || link.core.streamCount < best.core.streamCount) best = link
    }
    const core = best?.core
    const id = core?.open(facts, handlers)
    if (core === undefined || id === undefined) return undefined
    return {
      send: (chunk) => core.send(id, chunk),
      end: (isReusable = false) => core.end(id, isReusable),
      reset: (reason) => core.reset(id, reason),
      consumed: (bytes) => core.consumed(id, bytes),
    }
  }

  /** Keeps a link to a host to which no stream goes, so that the loss of its path is noticed. */
  watch(hostId: string, address: string): void {
    const peer = this.#peer(hostId, address)
    if (peer.links.size === 0 && peer.redialTimer === undefined) this.#dial(peer)
  }

  /** Streams on all links, for figures. */
  get streamCount(): number {
    let count = 0
    for (const { links } of this.#peers.values()) {
      for (const { core } of links) count += core.streamCount
    }
    return count
  }

  close(): void {
    this.#isClosed = true
    this.#ticker?.[Symbol.dispose]()
    for (const { links, redialTimer } of this.#peers.values()) {
      redialTimer?.[Symbol.dispose]()
      for (const link of links) link.close()
    }
  }

  #peer(hostId: string, address: string): Peer {
    const known = this.#peers.get(hostId)
    if (known !== undefined) {
      known.address = address
      return known
    }
    const peer = { hostId, address, links: new Set<LinkSocket>(), failures: 0, isReachable: true }
    const made: Peer = { ...peer, redialTimer: undefined }
    this.#peers.set(hostId, made)
    return made
  }

  #dial(peer: Peer): void {
    const { clock, ownHostId, port } = this.#options
    const socket = connect({ host: peer.address, port })
    const late = clock.setTimer(() => socket.destroy(new Error('no answer')), DIAL_MS_MAX)
    const link: LinkSocket = new LinkSocket({
      socket,
      isOpener: true,
      ownHostId,
      clock,
      handlers: {
        hello: () => {
          late[Symbol.dispose]()
          this.#stands(peer)
        },
        opened: () => {
          throw new TypeError('a worker opens no streams') // the core refuses such frames before
        },
        measured: (rttUs) => this.#options.measured(peer.hostId, rttUs),
        goingAway: () => this.#dial(peer),
        leaving: (machine) => this.#options.leaving(peer.hostId, machine),
      },
      closed: (error) => {
        late[Symbol.dispose]()
        peer.links.delete(link)
        // One that was going away has been followed by another, which speaks for itself.
        const isFollowed = link.core.isGoingAway && peer.links.size > 0
        if (!isFollowed) this.#lost(peer, error)
      },
    })
    peer.links.add(link)
  }

  #stands(peer: Peer): void {
    peer.failures = 0
    if (peer.isReachable) return
    peer.isReachable = true
    this.#options.reachable(peer.hostId, true)
  }

  #lost(peer: Peer, error: Error | undefined): void {
    if (this.#isClosed) return
    const { log, clock, random, reachable } = this.#options
    const isAnyUp = [...peer.links].some(({ core }) => core.isReady)
    if (!isAnyUp && peer.isReachable) {
      peer.isReachable = false
      log.warn({ host: peer.hostId, err: error }, 'the backhaul to a host is down')
      reachable(peer.hostId, false)
    }
    if (peer.redialTimer !== undefined) return
    const waitMs = backoffMs(peer.failures, REDIAL, random)
    peer.failures += 1
    peer.redialTimer = clock.setTimer(() => {
      peer.redialTimer = undefined
      if (peer.links.size === 0) this.#dial(peer)
    }, waitMs)
  }

  #tick(): void {
    for (const { links } of this.#peers.values()) {
      for (const link of links) {
        // By this its worker knows that nothing comes any more.
        if (link.core.isGoingAway && link.core.streamCount === 0) link.end()
        link.tick()
      }
    }
    this.#ticker = this.#options.clock.setTimer(() => this.#tick(), PING_MS / 2)
  }
}
