import type { Clock, Log } from '#base'
import type { HandedFlows } from '../datagrams/handed-flows.ts'
import { BROKEN, type EventLoop, type Watcher } from '../net/event-loop.ts'
import { close } from '../net/libc.ts'
import { acceptLocally, listenLocally } from '../net/local-messages.ts'
import { HandoverLine } from './handover-line.ts'
import { flowMessages, type HeldSocket, socketMessages } from './handover-message.ts'
import { SharedLoads, type SharedLoadsOptions } from './shared-loads.ts'

export interface HandoverDoorOptions {
  /** Of a socket file that a successor knocks at. */
  readonly path: string
  /** As long as this process lives. */
  readonly loop: EventLoop
  readonly clock: Clock
  readonly log: Log
  /** Before a successor gets anything: it begins with what this process leaves on the disk. */
  readonly prepare: () => Promise<void>
  /** What a successor gets, at that moment. They stay this process' too. */
  readonly sockets: () => readonly HeldSocket[]
  /** The successor serves: no more UDP is read here. @returns the conversations that go on there */
  readonly handOver: () => HandedFlows
  /** Of the machines whose limits both count until this process ends. */
  readonly loads: Omit<SharedLoadsOptions, 'clock'>
}

/** From its first word to when it serves. */
const SUCCESSOR_MS_MAX = 60_000
const LEVEL_TRIGGERED_READABLE = 1

/**
 * Where the process that follows this one gets its sockets, so that no connection and no datagram is lost between
 * them: both accept from the same queues, then this one alone stops.
 */
export class HandoverDoor implements Watcher, Disposable {
  readonly #options: HandoverDoorOptions
  readonly #fd: number
  readonly #replaced = Promise.withResolvers<void>()
  #line: HandoverLine | undefined
  #loads: SharedLoads | undefined
  #isOpen = true
  #hasHandedOver = false

  /** @throws ProxyError proxy.listen_failed, proxy.address_bad */
  constructor(options: HandoverDoorOptions) {
    this.#options = options
    this.#fd = listenLocally(options.path)
    options.loop.add(this.#fd, this, LEVEL_TRIGGERED_READABLE)
  }

  /** Resolves when another process serves in place of this one, which is to drain. */
  get replaced(): Promise<void> {
    return this.#replaced.promise
  }

  /** Another process serves, if it lives: all that was this one's alone is its by now. */
  get hasHandedOver(): boolean {
    return this.#hasHandedOver
  }

  ready(flags: number): void {
    if ((flags & BROKEN) !== 0) return
    const fd = acceptLocally(this.#fd)
    if (fd < 0) return
    if (this.#line === undefined) this.#begin(fd)
    else close(fd) // one at a time: whoever comes second sees that and tries again
  }

  #begin(fd: number): void {
    const { loop, clock, log, prepare } = this.#options
    const ended = () => {
      late[Symbol.dispose]()
      this.#hangUp()
      if (this.#hasHandedOver) this.#replaced.resolve()
    }
    const line: HandoverLine = new HandoverLine(loop, fd, {
      said: (message, descriptors) => {
        for (const one of descriptors) close(one)
        if (message.type === 'loads') {
          this.#loads ??= new SharedLoads(line, { ...this.#options.loads, clock })
          this.#loads.heard(message.loads)
        } else if (message.type === 'taken' && this.#hasHandedOver) {
          late[Symbol.dispose]()
          this.#replaced.resolve()
        }
        if (message.type !== 'serving' || this.#hasHandedOver) return
        this.#hasHandedOver = true
        for (const message of flowMessages(this.#options.handOver())) line.say(message)
      },
      ended,
    })
    const late = clock.setTimer(() => {
      log.warn({ afterMs: SUCCESSOR_MS_MAX }, 'a successor came, and did not take over')
      ended()
    }, SUCCESSOR_MS_MAX)
    this.#line = line
    prepare().then(
      () => this.#tellSockets(line),
      (error: unknown) => {
        log.error({ err: error }, 'a successor gets nothing')
        ended()
      },
    )
  }

  #tellSockets(line: HandoverLine): void {
    const sockets = this.#options.sockets()
    this.#options.log.info({ sockets: sockets.length }, 'a successor takes the sockets')
    for (const { message, descriptors } of socketMessages(sockets)) line.say(message, descriptors)
  }

  #hangUp(): void {
    this.#loads?.[Symbol.dispose]()
    this.#loads = undefined
    this.#line?.close()
    this.#line = undefined
  }

  /** Nobody else is let in. Who has taken over goes on to hear what this process still carries. */
  shut(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#options.loop.closeFd(this.#fd)
  }

  [Symbol.dispose](): void {
    this.shut()
    this.#hangUp()
  }
}
