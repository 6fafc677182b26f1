import type { Random } from '#base'
import { type DelayConfig, queueLimits } from './config.ts'
import type { Direction } from './direction.ts'
import { EPOLLIN, Epoll } from './epoll.ts'
import { DelayError } from './errors.ts'
import { pause } from './libc.ts'
import { Link, type LinkStats } from './link.ts'
import { NodeLoop } from './node-loop.ts'

export interface ForwarderOptions {
  readonly random: Random
  /** A link was dropped, because its device or its namespace has been removed. */
  readonly onLinkGone: (link: string, reason: 'device' | 'namespace') => void
}

interface Port {
  readonly link: Link
  /** What frames that are read at this port travel by. */
  readonly direction: Direction
}

/** Longest sleep: Node's timers, and the look for removed namespaces, are late by this at most. */
const SLEEP_US_MAX = 1_000_000
/**
 * Frames that come or go closer together than this are handled in batches, as a NIC moderates its
 * interrupts: one packet in a batch costs half of one alone. It makes a busy link at most
 * BATCH_PAUSE_US, and the kernel's slack of 50 us, later.
 */
const BUSY_GAP_US = 100
const BATCH_PAUSE_US = 50
const NODE_TOKEN = 0xffff_ffff

/**
 * All links of one planet in one loop. Node's own loop and this one share the thread: this one
 * sleeps on the TAPs and, among them, on the descriptor that libuv itself waits on. When Node has
 * something to do (a signal, the control socket), `turn` returns so that Node can run; it is called
 * again by setImmediate. So neither polls, and idle costs one wake-up a second.
 */
export class Forwarder {
  readonly #links = new Map<string, Link>()
  readonly #ports = new Map<number, Port>() // by the TAP's descriptor, which is its epoll token
  readonly #nodeLoop = new NodeLoop()
  readonly #epoll = new Epoll()
  readonly #onLinkGone: ForwarderOptions['onLinkGone']
  #lookedUs = monotonicUs()
  #startUs = 0

  /**
   * Attaches to every TAP of `config`.
   * @throws DelayError what openTap throws; then none stays open.
   */
  constructor(config: DelayConfig, { random, onLinkGone }: ForwarderOptions) {
    this.#onLinkGone = onLinkGone
    try {
      this.#epoll.add(this.#nodeLoop.fd, NODE_TOKEN)
      for (const link of config.links) {
        const { delayUs, jitterUs = 0 } = link
        this.#add(new Link(link, { ...queueLimits(config), delayUs, jitterUs, random }))
      }
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  get linkCount(): number {
    return this.#links.size
  }

  get stats(): LinkStats[] {
    return [...this.#links.values()].map((link) => link.stats)
  }

  /** Holds for both directions, for frames that enter from now on. @throws delay.link_unknown */
  setDelay(name: string, delayUs: number, jitterUs: number): void {
    const link = this.#links.get(name)
    if (link === undefined) {
      const values = { link: name, links: [...this.#links.keys()].join(' ') }
      throw new DelayError('delay.link_unknown', { what: 'no such link', values })
    }
    link.setDelay(delayUs, jitterUs)
  }

  /** Carries frames until Node has something to do, or no link is left. HOT. */
  turn(): void {
    const sleepUsMax = this.#nodeLoop.wasQuiet() ? SLEEP_US_MAX : 0
    while (this.#links.size > 0) {
      const startUs = this.#startTurn()
      const nextUs = Math.min(this.#releaseDue(startUs), startUs + sleepUsMax)
      const eventCount = this.#epoll.wait(Math.max(0, nextUs - monotonicUs()))
      const wokenUs = monotonicUs()
      const isNodeReady = this.#takeEvents(eventCount, wokenUs)
      const isLookDue = wokenUs - this.#lookedUs >= SLEEP_US_MAX
      if (isLookDue) this.#look(wokenUs)
      if (isNodeReady || isLookDue || sleepUsMax === 0) return
    }
  }

  [Symbol.dispose](): void {
    for (const link of this.#links.values()) link[Symbol.dispose]()
    this.#links.clear()
    this.#ports.clear()
    this.#epoll[Symbol.dispose]()
  }

  /** Gives the time, after a pause when the last turn was only a moment ago. */
  #startTurn(): number {
    const nowUs = monotonicUs()
    const isBusy = nowUs - this.#startUs < BUSY_GAP_US
    if (isBusy) pause(BATCH_PAUSE_US)
    this.#startUs = isBusy ? monotonicUs() : nowUs
    return this.#startUs
  }

  /** Sends on what is due. Gives the time at which the next frame will be. */
  #releaseDue(nowUs: number): number {
    let nextUs = Infinity
    for (const { direction } of this.#ports.values()) {
      if (direction.queue.isDue(nowUs)) direction.release(nowUs)
      const releaseUs = direction.queue.nextReleaseUs
      if (releaseUs < nextUs) nextUs = releaseUs
    }
    return nextUs
  }

  /** True: Node has something to do. */
  #takeEvents(eventCount: number, nowUs: number): boolean {
    let isNodeReady = eventCount < 0 // EINTR: a signal that Node has yet to hear of
    for (let index = 0; index < eventCount; index += 1) {
      const token = this.#epoll.token(index)
      if (token === NODE_TOKEN) isNodeReady = true
      else this.#receive(token, this.#epoll.flags(index), nowUs)
    }
    return isNodeReady
  }

  #receive(fd: number, flags: number, nowUs: number): void {
    const port = this.#ports.get(fd)
    if (port === undefined) return // its link was dropped a moment ago
    const isBroken = (flags & ~EPOLLIN) !== 0
    if (isBroken || !port.direction.receive(nowUs)) this.#drop(port.link, 'device')
  }

  /** The rare chores. */
  #look(nowUs: number): void {
    this.#lookedUs = nowUs
    for (const link of this.#links.values()) {
      if (!link.isPinned) this.#drop(link, 'namespace')
      else for (const direction of link.directions) direction.trim()
    }
  }

  #add(link: Link): void {
    this.#links.set(link.name, link)
    for (const [index, { fd }] of link.taps.entries()) {
      const direction = link.directions[index]
      if (direction !== undefined) this.#ports.set(fd, { link, direction })
      this.#epoll.add(fd, fd)
    }
  }

  #drop(link: Link, reason: 'device' | 'namespace'): void {
    this.#links.delete(link.name)
    for (const { fd } of link.taps) this.#ports.delete(fd)
    link[Symbol.dispose]() // closing a descriptor takes it off the epoll
    this.#onLinkGone(link.name, reason)
  }
}

const monotonicUs = () => performance.now() * 1000
