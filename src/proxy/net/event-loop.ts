import { PollHandle } from '#native'
import { ProxyError } from '../errors.ts'
import { close, epollControl, epollCreate, epollWait } from './libc.ts'
import { Memory } from './memory.ts'

export const READABLE = 0x001
export const WRITABLE = 0x004
export const BROKEN = 0x008 | 0x010 // EPOLLERR, EPOLLHUP
export const PEER_ENDED = 0x2000 // EPOLLRDHUP
/** None of epoll's: the other end of a stream is about to be ended from without, and says so before. */
export const LEAVING = 0x1_0000
const EDGE_TRIGGERED = 0x80000000

const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
const EVENTS_MAX = 256
/** How long our own sockets may keep Node from its turn. */
const NODE_LATENESS_MS = 2

// struct epoll_event { uint32 events; uint64 data }, packed on x86-64 only. Source: epoll_event(3type).
const DATA_WORD = process.arch === 'x64' ? 1 : 2
const EVENT_WORDS = process.arch === 'x64' ? 3 : 4

/** Who is told about a file descriptor. `flags`: READABLE, WRITABLE, BROKEN, PEER_ENDED, LEAVING. */
export interface Watcher {
  ready(flags: number): void
}

/**
 * Readiness of sockets that Node does not know, within Node's own loop. Our epoll descriptor is itself
 * watched by libuv, so Node sleeps until either has something; an immediate that does not keep the loop
 * awake then asks ours. Timers, promises and every other Node API work as always.
 *
 * Edge-triggered: a watcher reads or writes until the kernel says EAGAIN, or asks for another turn.
 */
export class EventLoop implements Disposable {
  readonly #epoll = epollCreate()
  readonly #events = new Memory(EVENTS_MAX * EVENT_WORDS * 4)
  readonly #words = new Uint32Array(this.#events.bytes.buffer)
  readonly #control = new Memory(EVENT_WORDS * 4)
  readonly #controlWords = new Uint32Array(this.#control.bytes.buffer)
  readonly #watchers: (Watcher | undefined)[] = []
  /** Per descriptor, so that an event of a closed one never reaches its number's next owner. */
  readonly #generations: number[] = []
  #again: Watcher[] = []
  #againSpare: Watcher[] = []
  readonly #atEnd: Watcher[] = []
  #isInTurn = false
  readonly #poll: PollHandle
  #isClosed = false
  #nodeIsDue = false
  /** Milliseconds, monotonic, as of this turn. */
  nowMs = performance.now()
  readonly #tick = () => this.#turn()

  /** @param onFault is told what a watcher threw, which is a bug: others go on. */
  constructor(onFault: (error: unknown, watcher: Watcher) => void) {
    this.#onFault = onFault
    const poll = PollHandle.open(this.#epoll)
    if (typeof poll === 'number')
      throw new ProxyError('proxy.system', {
        what: 'libuv refuses the epoll descriptor',
        values: { result: poll },
      })
    this.#poll = poll
    setImmediate(this.#tick).unref()
  }
  readonly #onFault: (error: unknown, watcher: Watcher) => void

  /** Starts to watch; `watcher` is told of each change. */
  add(
    fd: number,
    watcher: Watcher,
    flags = READABLE | WRITABLE | PEER_ENDED | EDGE_TRIGGERED,
  ): void {
    const generation = ((this.#generations[fd] ?? 0) + 1) & 0x7fffffff
    this.#generations[fd] = generation
    this.#watchers[fd] = watcher
    this.#controlWords[0] = flags >>> 0
    this.#controlWords[DATA_WORD] = fd
    this.#controlWords[DATA_WORD + 1] = generation
    const result = epollControl(this.#epoll, EPOLL_CTL_ADD, fd, this.#control.at(0))
    if (result < 0)
      throw new ProxyError('proxy.system', { what: 'epoll_ctl failed', values: { result } })
  }

  /** From now on `watcher` is told instead. */
  replace(fd: number, watcher: Watcher): void {
    this.#watchers[fd] = watcher
  }

  /** Forgets the descriptor without closing it: it goes to somebody else. */
  remove(fd: number): void {
    this.#watchers[fd] = undefined
    epollControl(this.#epoll, EPOLL_CTL_DEL, fd, this.#control.at(0))
  }

  /** Closes the descriptor, which the kernel then forgets. */
  closeFd(fd: number): void {
    this.#watchers[fd] = undefined
    close(fd)
  }

  /** Calls `watcher.ready(0)` in the next turn, after others had theirs. */
  again(watcher: Watcher): void {
    this.#again.push(watcher)
  }

  /** Calls `watcher.ready(0)` when all that happened at once was told; outside of a turn at once. */
  atTurnEnd(watcher: Watcher): void {
    if (this.#isInTurn) this.#atEnd.push(watcher)
    else this.#tell(watcher, 0)
  }

  /** Something happened outside our epoll that concerns `watcher`: it is told at once. */
  notify(watcher: Watcher, flags: number): void {
    this.nowMs = performance.now()
    this.#tell(watcher, flags)
  }

  /** The same, where `act` is what is to be done. What it throws is told as the watcher's fault. */
  enter(watcher: Watcher, act: () => void): void {
    this.nowMs = performance.now()
    try {
      act()
    } catch (error) {
      this.#onFault(error, watcher)
    }
  }

  /** Promises and Node's own streams were touched: Node is to have its turn soon. */
  letNodeRun(): void {
    this.#nodeIsDue = true
  }

  /**
   * Asks our epoll as long as it has something, and only now and then Node's: a turn of libuv costs as
   * much as a request. Nothing of Node's waits longer than NODE_LATENESS_MS for it.
   */
  #turn(): void {
    if (this.#isClosed) return
    this.nowMs = performance.now()
    const endMs = this.nowMs + NODE_LATENESS_MS
    this.#nodeIsDue = false
    let count = this.#dispatch(0)
    while (count > 0 && !this.#nodeIsDue && !this.#isClosed) {
      this.nowMs = performance.now()
      if (this.nowMs >= endMs) break
      count = this.#dispatch(this.#again.length > 0 ? 0 : NODE_LATENESS_MS)
    }
    if (this.#isClosed) return
    const next = setImmediate(this.#tick)
    if (this.#again.length === 0) next.unref()
  }

  /** Waits at most `timeoutMs`, tells whoever is concerned. @returns how many events there were. */
  #dispatch(timeoutMs: number): number {
    const count = epollWait(this.#epoll, this.#events.at(0), EVENTS_MAX, timeoutMs)
    this.#isInTurn = true
    for (let index = 0; index < count; index += 1) {
      const word = index * EVENT_WORDS
      const fd = this.#words[word + DATA_WORD] as number
      if (this.#generations[fd] !== this.#words[word + DATA_WORD + 1]) continue
      const watcher = this.#watchers[fd]
      if (watcher !== undefined) this.#tell(watcher, this.#words[word] as number)
    }
    const again = this.#again.length
    if (again > 0) this.#runAgain()
    for (let index = 0; index < this.#atEnd.length; index += 1)
      this.#tell(this.#atEnd[index] as Watcher, 0)
    this.#atEnd.length = 0
    this.#isInTurn = false
    return Math.max(count, again)
  }

  #tell(watcher: Watcher, flags: number): void {
    try {
      watcher.ready(flags)
    } catch (error) {
      this.#onFault(error, watcher)
    }
  }

  #runAgain(): void {
    const due = this.#again
    this.#again = this.#againSpare
    this.#againSpare = due
    for (const watcher of due) this.#tell(watcher, 0)
    due.length = 0
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#poll[Symbol.dispose]()
    close(this.#epoll)
  }
}
