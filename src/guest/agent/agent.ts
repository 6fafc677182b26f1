import { Duplex, type Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Clock, errorCode, systemClock } from '#base'
import { type AgentCall, AgentLink, ANSWER_MS } from './agent-link.ts'
import type { AgentStream } from './agent-stream.ts'
import {
  decodeStats,
  type Ending,
  type EntrypointState,
  type GuestStats,
  type Welcome,
} from './answers.ts'
import { AgentError } from './errors.ts'
import { FrameType } from './frame.ts'
import {
  configRecords,
  type ExecConfig,
  execRecords,
  type GuestConfig,
  type TerminalSize,
} from './machine-config.ts'
import { encodeRecords, type Rec, RecordTag } from './record.ts'

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
  const link = new AgentLink(channel, options.clock ?? systemClock)
  try {
    await link.begin(options)
    return new Agent(link)
  } catch (error) {
    link.close()
    throw error
  }
}

export class Agent {
  readonly #link: AgentLink

  constructor(link: AgentLink) {
    this.#link = link
  }

  /** The entrypoint's output, of all its runs. Read both, or the entrypoint waits. */
  get stdout(): Readable {
    return this.#link.entrypointStreams.stdout
  }

  get stderr(): Readable {
    return this.#link.entrypointStreams.stderr
  }

  /** What is typed at the entrypoint's terminal, or its input; without both it reads nothing. */
  get stdin(): Writable {
    return this.#link.entrypointStreams.stdin
  }

  /** Of the entrypoint's terminal. */
  resizeEntrypoint({ columns, rows }: TerminalSize): void {
    this.#link.send({ type: 'resized', id: 0, columns, rows })
  }

  /** What init last told of the entrypoint. Its end is told after its output. */
  get entrypoint(): EntrypointState {
    return this.#link.state
  }

  /**
   * True when the readers of `stdout` and `stderr` have taken all that has arrived. Once the state
   * tells a run's end and this is true, they have the whole output of that run.
   */
  get isOutputRead(): boolean {
    const { stdout, stderr } = this.#link.entrypointStreams
    return stdout.isRead && stderr.isRead
  }

  /** Where this session's output continues that of the session before. */
  get welcome(): Welcome {
    return this.#link.welcome
  }

  /** Waits until the entrypoint is in a state that `isIt` accepts. */
  async waitForEntrypoint(
    isIt: (state: EntrypointState) => boolean,
    call: AgentCall = {},
  ): Promise<EntrypointState> {
    await this.#link.until('the entrypoint', () => isIt(this.#link.state), call)
    return this.#link.state
  }

  /** May be called again before each start; root and volumes that are there stay. */
  async configure(config: GuestConfig, call: AgentCall = {}): Promise<void> {
    const document = encodeRecords(configRecords(config))
    await this.#link.ask(FrameType.configure, document, 'take its configuration', call)
  }

  /** Resolves when the program runs. @throws AgentError guest.not_found. */
  async start(call: AgentCall = {}): Promise<void> {
    await this.#link.tell(FrameType.start, [], 'start the entrypoint', call)
  }

  /** Resolves when the signal is sent; `waitForEntrypoint` tells the end. */
  async stop(options: StopOptions = {}): Promise<void> {
    await this.#link.tell(FrameType.stop, stopRecords(options), 'stop the entrypoint', options)
  }

  /** Everything else that runs in the machine ends with the old run. */
  async restart(options: StopOptions = {}): Promise<void> {
    await this.#link.tell(FrameType.restart, stopRecords(options), 'restart the entrypoint', {
      ...options,
      deadlineMs: options.deadlineMs ?? (options.timeoutMs ?? 5_000) + ANSWER_MS,
    })
  }

  /** Resolves when all has stopped and the disks are safe; the channel ends right after. */
  async shutdown(options: StopOptions & { readonly mode?: 'poweroff' | 'reboot' } = {}) {
    const mode: Rec = [RecordTag.mode, options.mode ?? 'poweroff']
    await this.#link.tell(FrameType.shutdown, [mode, ...stopRecords(options)], 'shut down', {
      ...options,
      deadlineMs: options.deadlineMs ?? (options.timeoutMs ?? 5_000) + ANSWER_MS,
    })
  }

  async signal(signalNumber: number, call: AgentCall = {}): Promise<void> {
    await this.#link.tell(
      FrameType.signal,
      [[RecordTag.signal, signalNumber]],
      'send a signal',
      call,
    )
  }

  async stats(call: AgentCall = {}): Promise<GuestStats> {
    return decodeStats(await this.#link.tell(FrameType.stats, [], 'tell its statistics', call))
  }

  /** After a resume: the guest still has the time of its suspension. */
  async setClock(nowMs: number, call: AgentCall = {}): Promise<void> {
    const seconds = Math.floor(nowMs / 1000)
    const nanoseconds = Math.round((nowMs - seconds * 1000) * 1e6)
    const time: Rec = [RecordTag.time, seconds, nanoseconds]
    await this.#link.tell(FrameType.setClock, [time], 'set its clock', call)
  }

  /** After a start from a template. @param entropy at most 512 bytes, never used before. */
  async reseed(entropy: Buffer, call: AgentCall = {}): Promise<void> {
    const record: Rec = [RecordTag.entropy, entropy.toString('hex')]
    await this.#link.tell(FrameType.reseed, [record], 'take entropy', call)
  }

  /** After a start from a template, before `configure`: its disks and links were another machine's. */
  async findDevices(call: AgentCall = {}): Promise<void> {
    await this.#link.tell(FrameType.findDevices, [], 'find its devices', call)
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
    const { id, stream } = await this.#link.open(type, records, doing, call)
    return {
      stdin: stream.stdin,
      stdout: stream.stdout,
      stderr: stream.stderr,
      ended: stream.ended,
      resize: ({ columns, rows }) => this.#link.send({ type: 'resized', id, columns, rows }),
      signal: async (signalNumber, signalCall = {}) => {
        const records: Rec[] = [
          [RecordTag.signal, signalNumber],
          [RecordTag.target, id],
        ]
        await this.#link.tell(FrameType.signal, records, 'send a signal', signalCall)
      },
      abandon: () => this.#link.send({ type: 'abandoned', id }),
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
    const { id, stream } = await this.#link.open(FrameType.put, records, 'write the file', options)
    stream.stdout.resume()
    stream.stderr.resume()
    try {
      await pipeline(source, stream.stdin, options.signal ? { signal: options.signal } : {})
    } catch (error) {
      this.#link.send({ type: 'abandoned', id })
      // Init closes the input of a copy that failed: its ending says why.
      if (errorCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
    }
    checkCopy(await stream.ended, path)
  }

  /** A regular file's bytes. The Readable fails with guest.copy_failed when reading it failed. */
  async getFile(path: string, call: AgentCall = {}): Promise<Readable> {
    const records: Rec[] = [[RecordTag.path, path]]
    const { id, stream } = await this.#link.open(FrameType.get, records, 'read the file', call)
    stream.stdin.end()
    stream.stderr.resume()
    const output = stream.stdout
    output.once('close', () => {
      if (!output.readableEnded) this.#link.send({ type: 'abandoned', id }) // a reader that went away
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
    return this.#connection(await this.#link.open(FrameType.dial, records, 'connect', call))
  }

  /**
   * The next connection that somebody in the machine makes to its unix socket at `path`, which is made with
   * the first call, before `start`; a machine has one. Who connects while nobody accepts waits.
   */
  async accept(path: string, call: AgentCall = {}): Promise<Duplex> {
    const records: Rec[] = [[RecordTag.path, path]]
    return this.#connection(await this.#link.open(FrameType.accept, records, 'accept', call))
  }

  #connection({ id, stream }: { id: number; stream: AgentStream }): Duplex {
    stream.stderr.resume()
    const pair: { readable: NodeJS.ReadableStream; writable: NodeJS.WritableStream } = {
      readable: stream.stdout,
      writable: stream.stdin,
    }
    const connection = Duplex.from(pair as never) // its types know web streams only
    connection.once('close', () => this.#link.send({ type: 'abandoned', id }))
    return connection
  }

  /** Ends the session; the machine goes on. What ran as exec or copy ends. */
  close(): void {
    this.#link.close()
  }

  /** Ends the session and leaves the channel open for another. What arrives in between is dropped. */
  release(): void {
    this.#link.release()
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
