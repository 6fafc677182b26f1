import { connect, type Socket } from 'node:net'
import { type Deadline, startDeadline } from '#base'
import type { RuntimeCall } from '../runtime.ts'
import { QmpError } from './errors.ts'
import { type QmpAction, type QmpEvent, QmpSession, type QmpValue } from './qmp-session.ts'

const ANSWER_MS = 30_000
/** More at once are a mistake of ours. */
const COMMANDS_MAX = 64

type Waiter = { resolve: (value: unknown) => void; reject: (error: unknown) => void }

/** The socket and the timers around a QmpSession. QEMU serves one client at a time. */
export class QmpClient implements Disposable {
  readonly #socket: Socket
  readonly #session = new QmpSession()
  readonly #waiters = new Map<number, Waiter>()
  readonly #listeners = new Set<(event: QmpEvent) => void>()
  readonly #lost = Promise.withResolvers<QmpError>()

  /** Connects to QEMU's socket, where it may not answer yet: commands wait for it. */
  constructor(path: string) {
    this.#socket = connect(path)
    this.#socket.on('data', (bytes: Buffer) => this.#perform(this.#session.receive(bytes)))
    this.#socket.on('error', (cause) => this.#perform(this.#session.lose(cause.message)))
    this.#socket.on('close', () => this.#perform(this.#session.lose('QEMU closed its socket')))
  }

  /** Resolves when there will be no more replies and events. Never rejects. */
  get lost(): Promise<QmpError> {
    return this.#lost.promise
  }

  /** @throws QmpError guest.qmp_refused, guest.qmp_lost; BaseError base.deadline_exceeded */
  async ask(execute: string, args?: QmpValue, call: RuntimeCall = {}): Promise<unknown> {
    if (this.#session.isLost || this.#waiters.size >= COMMANDS_MAX) throw await this.#cannot()
    using deadline = startDeadline(
      `QEMU's answer to ${execute}`,
      call.deadlineMs ?? ANSWER_MS,
      call,
    )
    deadline.signal.throwIfAborted()
    const { id, actions } = this.#session.send({ execute, arguments: args })
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#waiters.set(id, { resolve, reject })
    const onAbort = () => reject(deadline.signal.reason)
    deadline.signal.addEventListener('abort', onAbort, { once: true })
    try {
      this.#perform(actions)
      return await promise
    } finally {
      deadline.signal.removeEventListener('abort', onAbort)
      this.#waiters.delete(id)
    }
  }

  /** Until the returned is disposed. */
  onEvent(listener: (event: QmpEvent) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  /**
   * The first event that `isIt` accepts, from now on. Start it before the command that causes the event.
   * @throws QmpError guest.qmp_lost; the deadline's reason
   */
  async waitFor(isIt: (event: QmpEvent) => boolean, deadline: Deadline): Promise<QmpEvent> {
    const { promise, resolve, reject } = Promise.withResolvers<QmpEvent>()
    using _ = this.onEvent((event) => isIt(event) && resolve(event))
    const onAbort = () => reject(deadline.signal.reason)
    deadline.signal.addEventListener('abort', onAbort, { once: true })
    void this.lost.then(reject)
    if (deadline.signal.aborted) onAbort()
    try {
      return await promise
    } finally {
      deadline.signal.removeEventListener('abort', onAbort)
    }
  }

  [Symbol.dispose](): void {
    this.#perform(this.#session.lose('we let go of QEMU'))
  }

  async #cannot(): Promise<QmpError> {
    if (this.#session.isLost) return await this.lost
    return new QmpError('guest.qmp_refused', {
      what: 'too many commands wait for QEMU',
      values: { commandsMax: COMMANDS_MAX },
    })
  }

  #perform(actions: readonly QmpAction[]): void {
    for (const action of actions) this.#performOne(action)
  }

  #performOne(action: QmpAction): void {
    switch (action.type) {
      case 'write':
        this.#socket.write(action.text)
        return
      case 'resolve':
        this.#waiters.get(action.id)?.resolve(action.value)
        return
      case 'reject':
        this.#waiters.get(action.id)?.reject(action.error)
        return
      case 'tellEvent':
        for (const listener of this.#listeners) listener(action.event)
        return
      case 'lose':
        this.#lost.resolve(action.error)
        for (const waiter of this.#waiters.values()) waiter.reject(action.error)
        this.#socket.destroy()
        return
    }
  }
}
