import type { Clock, Log, Random } from '#base'
import type { Identity, Rumour } from '../membership/member.ts'
import { Swim } from '../membership/swim.ts'
import type { SwimEvent } from '../membership/swim-event.ts'
import { DEFAULT_SWIM_OPTIONS, type SwimOptions } from '../membership/swim-options.ts'
import type { Transport } from '../transport/transport.ts'
import { decodeSwim, encodeSwim } from '../wire/swim-datagram.ts'

export interface MembershipHandlers {
  memberUp(identity: Identity): void
  memberDown(identity: Identity): void
}

export interface SwimShellInit {
  readonly self: Identity
  readonly clusterId: number
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly transport: Pick<Transport, 'sendDatagram'>
  readonly handlers: MembershipHandlers
  readonly bootstrap: readonly string[]
  readonly members?: readonly Rumour[]
  readonly options?: SwimOptions
}

/** Until somebody is known, the bootstrap addresses are asked again: first soon, then less often. */
const JOIN_MIN_MS = 1_000
const JOIN_MAX_MS = 30_000

/** Runs membership: timers, datagrams, and joining until it has worked. */
export class SwimShell implements Disposable {
  readonly #init: SwimShellInit
  readonly #swim: Swim
  #timer: Disposable | undefined
  #timerDueMs = Infinity
  #joinTimer: Disposable | undefined
  #joinWaitMs = JOIN_MIN_MS
  #isStopped = false
  #badDatagrams = 0

  constructor(init: SwimShellInit) {
    this.#init = init
    this.#swim = new Swim({
      self: init.self,
      clusterId: init.clusterId,
      options: init.options ?? DEFAULT_SWIM_OPTIONS,
      random: init.random,
      nowMs: init.clock.monotonicMs(),
      ...(init.members === undefined ? {} : { members: init.members }),
    })
    for (const { identity, health } of init.members ?? []) {
      if (health === 'alive') init.handlers.memberUp(identity)
    }
    this.#join()
  }

  get swim(): Swim {
    return this.#swim
  }

  /** Datagrams that could not be read. */
  get badDatagramCount(): number {
    return this.#badDatagrams
  }

  receive(datagram: Uint8Array): void {
    if (this.#isStopped) return
    let message: ReturnType<typeof decodeSwim>
    try {
      message = decodeSwim(datagram)
    } catch (error) {
      this.#badDatagrams += 1
      this.#init.log.debug({ err: error }, 'a datagram that is no message of membership')
      return
    }
    this.#step({ type: 'received', message })
  }

  /** Tells others that this node goes. */
  leave(): void {
    this.#step({ type: 'leaveRequested' })
    this[Symbol.dispose]()
  }

  /** Asks for members again, as at the start. */
  rejoin(): void {
    const { bootstrap } = this.#init
    const known = this.#swim.snapshot().map(({ identity }) => identity.address)
    this.#step({ type: 'joinRequested', addresses: [...bootstrap, ...known.slice(0, 5)] })
  }

  [Symbol.dispose](): void {
    this.#isStopped = true
    this.#timer?.[Symbol.dispose]()
    this.#joinTimer?.[Symbol.dispose]()
  }

  #join(): void {
    if (this.#isStopped) return
    const { bootstrap, self, clock, random } = this.#init
    if (this.#swim.upCount === 0) {
      const addresses = bootstrap.filter((address) => address !== self.address)
      if (addresses.length > 0) this.#step({ type: 'joinRequested', addresses })
    }
    const waitMs = this.#joinWaitMs * (0.75 + random.next() / 2)
    this.#joinWaitMs = Math.min(this.#joinWaitMs * 2, JOIN_MAX_MS)
    this.#joinTimer = clock.setTimer(() => this.#join(), waitMs)
  }

  #step(event: SwimEvent): void {
    const { clock, transport, handlers, log } = this.#init
    for (const action of this.#swim.step(event, clock.monotonicMs())) {
      switch (action.type) {
        case 'send':
          transport.sendDatagram(action.to, encodeSwim(action.message))
          break
        case 'memberUp':
          log.info({ member: action.identity }, 'member up')
          handlers.memberUp(action.identity)
          break
        case 'memberDown':
          log.info({ member: action.identity }, 'member down')
          handlers.memberDown(action.identity)
          break
        case 'memberSuspected':
          log.debug({ member: action.identity }, 'member suspected')
          break
        case 'identityRenewed':
          log.warn({ self: action.identity }, 'others held this node for down; it goes on')
      }
    }
    this.#wakeLater()
  }

  #wakeLater(): void {
    const { clock } = this.#init
    const dueMs = this.#swim.wakeAtMs
    if (this.#isStopped || (this.#timer !== undefined && this.#timerDueMs <= dueMs)) return
    this.#timer?.[Symbol.dispose]()
    this.#timerDueMs = dueMs
    this.#timer = clock.setTimer(
      () => {
        this.#timer = undefined
        this.#step({ type: 'clockTicked' })
      },
      Math.max(0, dueMs - clock.monotonicMs()),
    )
  }
}
