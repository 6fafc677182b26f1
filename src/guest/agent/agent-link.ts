import type { Duplex } from 'node:stream'
import { type Clock, startDeadline } from '#base'
import { AgentStream } from './agent-stream.ts'
import type { EntrypointState, Welcome } from './answers.ts'
import { AgentError, channelLost } from './errors.ts'
import { FrameType, PAYLOAD_BYTES_MAX } from './frame.ts'
import { encodeRecords, type Rec } from './record.ts'
import { AgentSession, type SessionAction, type SessionEvent } from './session.ts'

export interface AgentCall {
  readonly signal?: AbortSignal | undefined
  /** For the answer, not for what runs after it. @default 15_000 */
  readonly deadlineMs?: number
}

export const ANSWER_MS = 15_000

type Waiter = { resolve: (payload: Buffer) => void; reject: (error: unknown) => void }

/** The shell of a session: its channel, who waits for an answer, and the streams. What is asked is not its business. */
export class AgentLink {
  readonly #channel: Duplex
  readonly #clock: Clock
  readonly #session = new AgentSession()
  readonly #waiters = new Map<number, Waiter>()
  readonly #streams = new Map<number, AgentStream>()
  readonly #watchers = new Set<() => void>()
  #welcome: Welcome | undefined
  /** What init last told of the entrypoint. */
  state: EntrypointState = { phase: 'new', runCount: 0 }
  #lost: AgentError | undefined
  #isReleased = false
  readonly #onData = (bytes: Buffer) => this.send({ type: 'bytesReceived', bytes })
  readonly #onError = (cause: Error) => this.send({ type: 'channelEnded', cause })
  readonly #onEnd = () => this.send({ type: 'channelEnded' })

  constructor(channel: Duplex, clock: Clock) {
    this.#channel = channel
    this.#clock = clock
    this.#streams.set(0, this.#makeStream(0))
  }

  /** @throws AgentError guest.channel_lost: init has not answered */
  get welcome(): Welcome {
    if (this.#welcome === undefined) throw channelLost()
    return this.#welcome
  }

  async begin(call: AgentCall): Promise<void> {
    this.#channel.on('data', this.#onData)
    this.#channel.on('error', this.#onError)
    this.#channel.on('close', this.#onEnd)
    this.#channel.on('end', this.#onEnd)
    this.send({ type: 'connected' })
    await this.until('the machine to answer', () => this.#welcome !== undefined, call)
  }

  /** Ends the session; the machine goes on. What ran as exec or copy ends. */
  close(): void {
    this.send({ type: 'channelEnded' })
  }

  /** Ends the session and leaves the channel open for another. What arrives in between is dropped. */
  release(): void {
    this.#channel.off('data', this.#onData)
    this.#channel.off('error', this.#onError)
    this.#channel.off('close', this.#onEnd)
    this.#channel.off('end', this.#onEnd)
    this.#isReleased = true
    this.close()
  }

  /** Of the entrypoint, over all its runs. @throws AgentError guest.channel_lost */
  get entrypointStreams(): AgentStream {
    const stream = this.#streams.get(0)
    if (stream === undefined) throw this.#lost ?? channelLost()
    return stream
  }

  #makeStream(id: number): AgentStream {
    return new AgentStream({
      send: (bytes) => {
        const { taken, actions } = this.#session.sendInput(id, bytes)
        this.#perform(actions)
        return taken
      },
      end: () => this.send({ type: 'inputEnded', id }),
      consumed: (part, bytes) => this.send({ type: 'dataConsumed', id, part, bytes }),
      abandon: () => this.send({ type: 'abandoned', id }),
    })
  }

  /** Asks with records; see `ask`. */
  tell(type: FrameType, records: readonly Rec[], doing: string, call: AgentCall) {
    return this.ask(type, encodeRecords(records), doing, call)
  }

  /** A request that has a stream from then on. */
  async open(type: FrameType, records: readonly Rec[], doing: string, call: AgentCall) {
    const id = this.#takeId(doing)
    const stream = this.#makeStream(id)
    this.#streams.set(id, stream)
    try {
      await this.ask(type, encodeRecords(records), doing, call, id)
    } catch (error) {
      this.send({ type: 'abandoned', id }) // of a deadline: init may still be at it
      stream.fail(error instanceof AgentError ? error : channelLost(error))
      this.#streams.delete(id)
      throw error
    }
    return { id, stream }
  }

  /** Resolves with the answer to a request. @param doing what the machine is to do, for errors */
  async ask(
    type: FrameType,
    document: Buffer,
    doing: string,
    call: AgentCall,
    id = this.#takeId(doing),
  ): Promise<Buffer> {
    if (this.#lost !== undefined) throw this.#lost
    if (type !== FrameType.configure && document.length > PAYLOAD_BYTES_MAX) {
      throw new AgentError('guest.value_bad', {
        what: 'a request to the machine is too large',
        values: { bytes: document.length, bytesMax: PAYLOAD_BYTES_MAX },
        fix: 'send a long script as a file or on standard input',
      })
    }
    using deadline = startDeadline(doing, call.deadlineMs ?? ANSWER_MS, {
      signal: call.signal,
      clock: this.#clock,
    })
    deadline.signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
    const onAbort = () => reject(deadline.signal.reason)
    deadline.signal.addEventListener('abort', onAbort, { once: true })
    this.#waiters.set(id, { resolve, reject })
    try {
      this.#sendParts(type, id, document, doing)
      return await promise
    } finally {
      this.#waiters.delete(id)
      deadline.signal.removeEventListener('abort', onAbort)
    }
  }

  /** Only a configuration has more than one part; the last says so. */
  #sendParts(type: FrameType, id: number, document: Buffer, doing: string): void {
    let at = 0
    do {
      const payload = document.subarray(at, at + PAYLOAD_BYTES_MAX)
      at += PAYLOAD_BYTES_MAX
      const isLast = at >= document.length
      const request = { type, id, payload, part: isLast ? 1 : 0, doing }
      this.send({ type: 'requested', request, isLast })
    } while (at < document.length)
  }

  #takeId(doing: string): number {
    if (this.#lost !== undefined) throw this.#lost
    const id = this.#session.takeId()
    if (id !== undefined) return id
    throw new AgentError('guest.too_many_streams', {
      what: `too many requests wait for this machine to ${doing}`,
      fix: 'wait for some of them',
    })
  }

  /** Waits until it is so, looking whenever init tells something. */
  async until(operation: string, isSo: () => boolean, call: AgentCall): Promise<void> {
    using deadline = startDeadline(operation, call.deadlineMs ?? ANSWER_MS, {
      signal: call.signal,
      clock: this.#clock,
    })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const look = () => {
      if (isSo()) resolve()
      else if (this.#lost !== undefined) reject(this.#lost)
      else if (deadline.signal.aborted) reject(deadline.signal.reason)
    }
    this.#watchers.add(look)
    deadline.signal.addEventListener('abort', look, { once: true })
    try {
      look()
      await promise
    } finally {
      this.#watchers.delete(look)
      deadline.signal.removeEventListener('abort', look)
    }
  }

  send(event: SessionEvent): void {
    this.#perform(this.#session.step(event))
  }

  #perform(actions: readonly SessionAction[]): void {
    for (const action of actions) this.#performOne(action)
  }

  #performOne(action: SessionAction): void {
    switch (action.type) {
      case 'write':
        if (!this.#channel.destroyed) this.#channel.write(action.bytes)
        return
      case 'announceWelcome':
        this.#welcome = action.welcome
        this.state = action.welcome.entrypoint
        this.#notify()
        return
      case 'tellEntrypoint':
        this.state = action.state
        this.#notify()
        return
      case 'answer':
        this.#waiters.get(action.id)?.resolve(action.payload)
        return
      case 'refuse':
        this.#waiters.get(action.id)?.reject(action.error)
        return
      case 'deliver':
        this.#deliver(action.id, action.part, action.bytes)
        return
      case 'endPart':
        this.#streams.get(action.id)?.outputOf(action.part)?.endSoon()
        return
      case 'allowInput':
        this.#streams.get(action.id)?.stdin.sendOn()
        return
      case 'closeStream':
        this.#streams.get(action.id)?.close(action.ending)
        this.#streams.delete(action.id)
        return
      case 'loseSession':
        this.#lose(action.error)
        return
    }
  }

  #deliver(id: number, part: number, bytes: Buffer): void {
    const output = this.#streams.get(id)?.outputOf(part)
    if (output !== undefined) output.deliver(bytes)
    else this.send({ type: 'dataConsumed', id, part, bytes: bytes.length }) // abandoned meanwhile
  }

  #lose(error: AgentError): void {
    this.#lost = error
    for (const waiter of this.#waiters.values()) waiter.reject(error)
    for (const [id, stream] of this.#streams) {
      if (id === 0)
        stream.end() // what the entrypoint wrote has arrived whole, and may be read
      else stream.fail(error)
    }
    this.#waiters.clear()
    if (!this.#isReleased) this.#channel.destroy()
    this.#notify()
  }

  #notify(): void {
    for (const look of this.#watchers) look()
  }
}
