import { Duplex, type Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Clock, errorCode, startDeadline, systemClock } from '#base'
import { AgentStream } from './agent-stream.ts'
import {
  decodeStats,
  type Ending,
  type EntrypointState,
  type GuestStats,
  type Welcome,
} from './answers.ts'
import { AgentError, channelLost } from './errors.ts'
import { FrameType, PAYLOAD_BYTES_MAX } from './frame.ts'
import {
  configRecords,
  type ExecConfig,
  execRecords,
  type GuestConfig,
  type TerminalSize,
} from './machine-config.ts'
import { encodeRecords, type Rec, RecordTag } from './record.ts'
import { AgentSession, type SessionAction, type SessionEvent } from './session.ts'

export interface AgentCall {
  readonly signal?: AbortSignal | undefined
  /** For the answer, not for what runs after it. @default 15_000 */
  readonly deadlineMs?: number
}

/** `signal` is a number of signal(7); after `timeoutMs`, 300_000 at most, comes SIGKILL. */
export interface StopOptions extends AgentCall {
  readonly stopSignal?: number
  readonly timeoutMs?: number
}

export interface GuestProcess {
  /** End it when there is no input: the process may wait for that. */
  readonly stdin: Writable
  /** Both must be read, or the process waits once its window is full. */
  readonly stdout: Readable
  /** Empty with a terminal. */
  readonly stderr: Readable
  /** After all output has arrived. */
  readonly ended: Promise<Ending>
  resize(size: TerminalSize): void
  signal(signalNumber: number, call?: AgentCall): Promise<void>
  /** Kills its process group. `ended` tells when it is gone. */
  abandon(): void
}

export interface FileOptions extends AgentCall {
  /** Absolute; missing parents are made. */
  readonly path: string
  /** @default 0o644 */
  readonly mode?: number
  readonly owner?: { readonly uid: number; readonly gid: number }
}

const ANSWER_MS = 15_000

/**
 * Begins a session over any duplex byte stream: the socket of a virtio-serial port, a vsock after its
 * handshake, a unix socket of a container. A machine has one session; a new one ends the old.
 *
 * @throws AgentError guest.channel_lost, guest.protocol_broken; BaseError base.deadline_exceeded.
 */
export async function connectAgent(
  channel: Duplex,
  options: AgentCall & { readonly clock?: Clock } = {},
): Promise<Agent> {
  const agent = new Agent(channel, options.clock ?? systemClock)
  try {
    await agent.begin(options)
    return agent
  } catch (error) {
    agent.close()
    throw error
  }
}

type Waiter = { resolve: (payload: Buffer) => void; reject: (error: unknown) => void }

export class Agent {
  readonly #channel: Duplex
  readonly #clock: Clock
  readonly #session = new AgentSession()
  readonly #waiters = new Map<number, Waiter>()
  readonly #streams = new Map<number, AgentStream>()
  readonly #watchers = new Set<() => void>()
  #welcome: Welcome | undefined
  #state: EntrypointState = { phase: 'new', runCount: 0 }
  #lost: AgentError | undefined
  #isReleased = false
  readonly #onData = (bytes: Buffer) => this.#send({ type: 'bytesReceived', bytes })
  readonly #onError = (cause: Error) => this.#send({ type: 'channelEnded', cause })
  readonly #onEnd = () => this.#send({ type: 'channelEnded' })

  constructor(channel: Duplex, clock: Clock) {
    this.#channel = channel
    this.#clock = clock
    this.#streams.set(0, this.#makeStream(0))
  }

  /** The entrypoint's output, of all its runs. Read both, or the entrypoint waits. */
  get stdout(): Readable {
    return this.#streamOf(0).stdout
  }

  get stderr(): Readable {
    return this.#streamOf(0).stderr
  }

  /** What is typed at the entrypoint's terminal, or its input; without both it reads nothing. */
  get stdin(): Writable {
    return this.#streamOf(0).stdin
  }

  /** Of the entrypoint's terminal. */
  resizeEntrypoint({ columns, rows }: TerminalSize): void {
    this.#send({ type: 'resized', id: 0, columns, rows })
  }

  /** What init last told of the entrypoint. Its end is told after its output. */
  get entrypoint(): EntrypointState {
    return this.#state
  }

  /**
   * True when the readers of `stdout` and `stderr` have taken all that has arrived. Once the state
   * tells a run's end and this is true, they have the whole output of that run.
   */
  get isOutputRead(): boolean {
    const { stdout, stderr } = this.#streamOf(0)
    return stdout.isRead && stderr.isRead
  }

  /** Where this session's output continues that of the session before. */
  get welcome(): Welcome {
    if (this.#welcome === undefined) throw channelLost()
    return this.#welcome
  }

  async begin(call: AgentCall): Promise<void> {
    this.#channel.on('data', this.#onData)
    this.#channel.on('error', this.#onError)
    this.#channel.on('close', this.#onEnd)
    this.#channel.on('end', this.#onEnd)
    this.#send({ type: 'connected' })
    await this.#until('the machine to answer', () => this.#welcome !== undefined, call)
  }

  /** Waits until the entrypoint is in a state that `isIt` accepts. */
  async waitForEntrypoint(
    isIt: (state: EntrypointState) => boolean,
    call: AgentCall = {},
  ): Promise<EntrypointState> {
    await this.#until('the entrypoint', () => isIt(this.#state), call)
    return this.#state
  }

  /** May be called again before each start; root and volumes that are there stay. */
  async configure(config: GuestConfig, call: AgentCall = {}): Promise<void> {
    const document = encodeRecords(configRecords(config))
    await this.#ask(FrameType.configure, document, 'take its configuration', call)
  }

  /** Resolves when the program runs. @throws AgentError guest.not_found. */
  async start(call: AgentCall = {}): Promise<void> {
    await this.#tell(FrameType.start, [], 'start the entrypoint', call)
  }

  /** Resolves when the signal is sent; `waitForEntrypoint` tells the end. */
  async stop(options: StopOptions = {}): Promise<void> {
    await this.#tell(FrameType.stop, stopRecords(options), 'stop the entrypoint', options)
  }

  /** Everything else that runs in the machine ends with the old run. */
  async restart(options: StopOptions = {}): Promise<void> {
    await this.#tell(FrameType.restart, stopRecords(options), 'restart the entrypoint', {
      ...options,
      deadlineMs: options.deadlineMs ?? (options.timeoutMs ?? 5_000) + ANSWER_MS,
    })
  }

  /** Resolves when all has stopped and the disks are safe; the channel ends right after. */
  async shutdown(options: StopOptions & { readonly mode?: 'poweroff' | 'reboot' } = {}) {
    const mode: Rec = [RecordTag.mode, options.mode ?? 'poweroff']
    await this.#tell(FrameType.shutdown, [mode, ...stopRecords(options)], 'shut down', {
      ...options,
      deadlineMs: options.deadlineMs ?? (options.timeoutMs ?? 5_000) + ANSWER_MS,
    })
  }

  async signal(signalNumber: number, call: AgentCall = {}): Promise<void> {
    await this.#tell(FrameType.signal, [[RecordTag.signal, signalNumber]], 'send a signal', call)
  }

  async stats(call: AgentCall = {}): Promise<GuestStats> {
    return decodeStats(await this.#tell(FrameType.stats, [], 'tell its statistics', call))
  }

  /** After a resume: the guest still has the time of its suspension. */
  async setClock(nowMs: number, call: AgentCall = {}): Promise<void> {
    const seconds = Math.floor(nowMs / 1000)
    const nanoseconds = Math.round((nowMs - seconds * 1000) * 1e6)
    const time: Rec = [RecordTag.time, seconds, nanoseconds]
    await this.#tell(FrameType.setClock, [time], 'set its clock', call)
  }

  /** After a start from a template. @param entropy at most 512 bytes, never used before. */
  async reseed(entropy: Buffer, call: AgentCall = {}): Promise<void> {
    const record: Rec = [RecordTag.entropy, entropy.toString('hex')]
    await this.#tell(FrameType.reseed, [record], 'take entropy', call)
  }

  /** After a start from a template, before `configure`: its disks and links were another machine's. */
  async findDevices(call: AgentCall = {}): Promise<void> {
    await this.#tell(FrameType.findDevices, [], 'find its devices', call)
  }

  /** @throws AgentError guest.not_found: no such program. */
  async exec(config: ExecConfig, call: AgentCall = {}): Promise<GuestProcess> {
    return await this.#run(FrameType.exec, execRecords(config), 'run the command', call)
  }

  /** An SFTP server (version 3) as root of the machine, on the process's streams. */
  async sftp(call: AgentCall = {}): Promise<GuestProcess> {
    return await this.#run(FrameType.sftp, [], 'serve files', call)
  }

  async #run(
    type: FrameType,
    records: readonly Rec[],
    doing: string,
    call: AgentCall,
  ): Promise<GuestProcess> {
    const { id, stream } = await this.#open(type, records, doing, call)
    return {
      stdin: stream.stdin,
      stdout: stream.stdout,
      stderr: stream.stderr,
      ended: stream.ended,
      resize: ({ columns, rows }) => this.#send({ type: 'resized', id, columns, rows }),
      signal: async (signalNumber, signalCall = {}) => {
        const records: Rec[] = [
          [RecordTag.signal, signalNumber],
          [RecordTag.target, id],
        ]
        await this.#tell(FrameType.signal, records, 'send a signal', signalCall)
      },
      abandon: () => this.#send({ type: 'abandoned', id }),
    }
  }

  /**
   * Writes a file that takes its name at once when `source` has ended; a copy that breaks off leaves
   * what was there. @throws AgentError guest.copy_failed, guest.request_failed.
   */
  async putFile(source: Readable | Iterable<Buffer>, options: FileOptions): Promise<void> {
    const { path, mode = 0o644, owner } = options
    const records: Rec[] = [
      [RecordTag.path, path],
      [RecordTag.mode, mode.toString(8)],
      ...(owner === undefined ? [] : [[RecordTag.owner, owner.uid, owner.gid] as const]),
    ]
    const { id, stream } = await this.#open(FrameType.put, records, 'write the file', options)
    stream.stdout.resume()
    stream.stderr.resume()
    try {
      await pipeline(source, stream.stdin, options.signal ? { signal: options.signal } : {})
    } catch (error) {
      this.#send({ type: 'abandoned', id })
      // Init closes the input of a copy that failed: its ending says why.
      if (errorCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
    }
    checkCopy(await stream.ended, path)
  }

  /** A regular file's bytes. The Readable fails with guest.copy_failed when reading it failed. */
  async getFile(path: string, call: AgentCall = {}): Promise<Readable> {
    const records: Rec[] = [[RecordTag.path, path]]
    const { id, stream } = await this.#open(FrameType.get, records, 'read the file', call)
    stream.stdin.end()
    stream.stderr.resume()
    const output = stream.stdout
    output.once('close', () => {
      if (!output.readableEnded) this.#send({ type: 'abandoned', id }) // a reader that went away
    })
    const checked = async function* () {
      yield* output
      checkCopy(await stream.ended, path)
    }
    return Duplex.from(checked())
  }

  /** A TCP connection from inside the machine. @param address numeric, as the machine sees it. */
  async dial(address: string, port: number, call: AgentCall = {}): Promise<Duplex> {
    const records: Rec[] = [[RecordTag.target, address, port]]
    return this.#connection(await this.#open(FrameType.dial, records, 'connect', call))
  }

  /**
   * The next connection that somebody in the machine makes to its unix socket at `path`, which is made with
   * the first call, before `start`; a machine has one. Who connects while nobody accepts waits.
   */
  async accept(path: string, call: AgentCall = {}): Promise<Duplex> {
    const records: Rec[] = [[RecordTag.path, path]]
    return this.#connection(await this.#open(FrameType.accept, records, 'accept', call))
  }

  #connection({ id, stream }: { id: number; stream: AgentStream }): Duplex {
    stream.stderr.resume()
    const pair: { readable: NodeJS.ReadableStream; writable: NodeJS.WritableStream } = {
      readable: stream.stdout,
      writable: stream.stdin,
    }
    const connection = Duplex.from(pair as never) // its types know web streams only
    connection.once('close', () => this.#send({ type: 'abandoned', id }))
    return connection
  }

  /** Ends the session; the machine goes on. What ran as exec or copy ends. */
  close(): void {
    this.#send({ type: 'channelEnded' })
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

  #streamOf(id: number): AgentStream {
    const stream = this.#streams.get(id)
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
      end: () => this.#send({ type: 'inputEnded', id }),
      consumed: (part, bytes) => this.#send({ type: 'dataConsumed', id, part, bytes }),
      abandon: () => this.#send({ type: 'abandoned', id }),
    })
  }

  #tell(type: FrameType, records: readonly Rec[], doing: string, call: AgentCall) {
    return this.#ask(type, encodeRecords(records), doing, call)
  }

  async #open(type: FrameType, records: readonly Rec[], doing: string, call: AgentCall) {
    const id = this.#takeId(doing)
    const stream = this.#makeStream(id)
    this.#streams.set(id, stream)
    try {
      await this.#ask(type, encodeRecords(records), doing, call, id)
    } catch (error) {
      this.#send({ type: 'abandoned', id }) // of a deadline: init may still be at it
      stream.fail(error instanceof AgentError ? error : channelLost(error))
      this.#streams.delete(id)
      throw error
    }
    return { id, stream }
  }

  async #ask(
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
      this.#send({ type: 'requested', request, isLast })
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

  async #until(operation: string, isSo: () => boolean, call: AgentCall): Promise<void> {
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

  #send(event: SessionEvent): void {
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
        this.#state = action.welcome.entrypoint
        this.#notify()
        return
      case 'tellEntrypoint':
        this.#state = action.state
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
    else this.#send({ type: 'dataConsumed', id, part, bytes: bytes.length }) // abandoned meanwhile
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

function stopRecords({ stopSignal, timeoutMs }: StopOptions): Rec[] {
  return [
    ...(stopSignal === undefined ? [] : [[RecordTag.signal, stopSignal] as const]),
    ...(timeoutMs === undefined ? [] : [[RecordTag.timeoutMs, timeoutMs] as const]),
  ]
}

/** A copy's exit code is an errno. */
function checkCopy(ending: Ending, path: string): void {
  if (ending.kind === 'exited' && ending.code === 0) return
  throw new AgentError('guest.copy_failed', {
    what: 'a file copy broke off',
    values: { path, ...(ending.kind === 'exited' ? { errno: ending.code } : ending) },
  })
}
