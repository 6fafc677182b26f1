import type { Entrance } from '../route.ts'
import type { Engine } from './engine.ts'

/** By when a client's connection must go on; each call says what is waited for from now on. HOT. */
export class ClientDeadline {
  readonly #engine: Engine
  readonly #entrance: Entrance
  #atMs = 0

  constructor(engine: Engine, entrance: Entrance) {
    this.#engine = engine
    this.#entrance = entrance
    this.expectHead()
  }

  /** The end of a request's head. */
  expectHead(): void {
    this.#set(this.#entrance.headersReadTimeoutMs ?? this.#engine.limits.headersReadMs)
  }

  /** The first byte of another request. */
  expectRequest(): void {
    this.#set(this.#engine.limits.keepAliveIdleMs)
  }

  /** The next byte of an exchange, in either direction. */
  expectBytes(): void {
    this.#set(this.#entrance.idleTimeoutMs ?? this.#engine.limits.exchangeIdleMs)
  }

  /** The end of the client's side. */
  expectEnd(): void {
    this.#set(this.#engine.limits.lingerMs)
  }

  #set(ms: number): void {
    this.#atMs = this.#engine.loop.nowMs + ms
  }

  isPast(nowMs: number): boolean {
    return nowMs > this.#atMs
  }
}
