import type { Watcher } from '../net/event-loop.ts'
import { close } from '../net/libc.ts'
import { acceptConnection, acceptedFrom, localAddress, setNoDelay } from '../net/socket.ts'
import type { ConnectionFacts } from '../route.ts'
import type { Engine } from './engine.ts'
import { openBehindBalancer, openFront } from './front.ts'

/** Connections taken before others have their turn. */
const ACCEPTS_PER_TURN = 64
const LEVEL_TRIGGERED_READABLE = 1
const OUT_OF_DESCRIPTORS = -24 // EMFILE
const REST_MS = 100

/** A listening socket, and what becomes of each connection on it. */
export class Listener implements Watcher {
  readonly #engine: Engine
  readonly fd: number
  /** Where it listens; for a wildcard address each connection is asked what its client dialled. */
  readonly address: string
  readonly port: number
  readonly #isWildcard: boolean
  #isOpen = true

  constructor(engine: Engine, fd: number) {
    this.#engine = engine
    this.fd = fd
    const bound = localAddress(fd)
    this.address = bound.address
    this.port = bound.port
    this.#isWildcard = bound.address === '0.0.0.0' || bound.address === '::'
    engine.loop.add(fd, this, LEVEL_TRIGGERED_READABLE)
  }

  ready(): void {
    for (let count = 0; count < ACCEPTS_PER_TURN && this.#isOpen; count += 1) {
      const fd = acceptConnection(this.fd)
      if (fd === OUT_OF_DESCRIPTORS) this.#rest()
      if (fd < 0) return // EAGAIN, or a connection that broke while it waited
      this.#accepted(fd)
    }
  }

  /** The process has no descriptor left: asking again at once would only burn the time of those who have. */
  #rest(): void {
    this.#engine.counters.connectionsRefused += 1
    this.#engine.loop.remove(this.fd)
    setTimeout(() => {
      if (this.#isOpen) this.#engine.loop.add(this.fd, this, LEVEL_TRIGGERED_READABLE)
    }, REST_MS)
  }

  #accepted(fd: number): void {
    const from = acceptedFrom()
    const isBalancer = this.#engine.balancers.has(from.address)
    if (!isBalancer && !this.#engine.clients.admits(from.address)) {
      this.#engine.counters.connectionsRefused += 1
      close(fd)
      return
    }
    const local = this.#isWildcard ? localAddress(fd) : this
    const facts: ConnectionFacts = {
      clientAddress: from.address,
      clientPort: from.port,
      localAddress: local.address,
      localPort: this.port,
    }
    if (isBalancer) {
      setNoDelay(fd)
      openBehindBalancer(this.#engine, fd, facts)
      return
    }
    const entrance = this.#engine.router.accept(facts)
    if (entrance === undefined) {
      this.#engine.counters.connectionsRefused += 1
      close(fd)
      return
    }
    setNoDelay(fd)
    openFront(this.#engine, fd, entrance, facts)
  }

  /** Takes no more. The descriptor stays open when somebody else listens on it. */
  close({ keepsDescriptor = false } = {}): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    if (keepsDescriptor) this.#engine.loop.remove(this.fd)
    else this.#engine.loop.closeFd(this.fd)
  }
}
