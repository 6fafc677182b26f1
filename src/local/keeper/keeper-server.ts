import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { errorCode, GodwitError, startDeadline, unlessAborted } from '#base'
import type { Agent, Guest, TerminalSize } from '#guest'
import { stopSignalOf } from '#machine'
import { LocalError } from '../errors.ts'
import type { LocalExit, LocalRecord } from '../machine-record.ts'
import { feed } from './feed.ts'
import { keeperSocket } from './keeper-client.ts'
import type { LogStream } from './log-file.ts'
import { serveExec } from './serve-exec.ts'
import {
  encodeFrame,
  encodeJson,
  type Frame,
  FrameKind,
  framesOf,
  type KeeperRequest,
  send,
} from './wire.ts'

const CONNECTIONS_MAX = 64
const STOP_TIMEOUT_MS = 10_000

/** A machine that runs, and how to reach it. */
export interface Kept {
  readonly agent: Agent
  readonly guest: Guest
  readonly record: LocalRecord
}

/** Serves those who ask for a machine, over a unix socket in its folder. */
export class KeeperServer implements AsyncDisposable {
  readonly #server: Server
  readonly #connections = new Set<Socket>()
  /** Those who are told the end of the machine. */
  readonly #waiting = new Set<Socket>()
  readonly #isRunning = Promise.withResolvers<void>()
  readonly #isAttached = Promise.withResolvers<void>()
  #attached: Socket | undefined
  #size: TerminalSize | undefined
  #kept: Kept | undefined

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => void this.#accept(socket))
    this.#server.maxConnections = CONNECTIONS_MAX
  }

  static async open(folder: string): Promise<KeeperServer> {
    const server = new KeeperServer()
    const path = keeperSocket(folder)
    rmSync(path, { force: true }) // of a keeper that was killed
    server.#server.listen(path)
    await once(server.#server, 'listening')
    return server
  }

  /** Undefined: the machine is not there at the moment. */
  serve(kept: Kept | undefined): void {
    this.#kept = kept
    if (kept !== undefined) this.#isRunning.resolve()
    this.#tellStart()
    if (kept !== undefined && this.#size !== undefined) kept.agent.resizeEntrypoint(this.#size)
    if (kept?.record.isBound && this.#attached === undefined) this.#leftAlone()
  }

  async waitForAttached(deadlineMs: number): Promise<void> {
    using deadline = startDeadline('somebody to attach to the machine', deadlineMs)
    await unlessAborted(this.#isAttached.promise, deadline.signal)
  }

  /** Resolves when whoever is attached takes more. */
  async output(stream: LogStream, bytes: Buffer): Promise<void> {
    if (this.#attached === undefined) return
    await send(this.#attached, encodeFrame(FrameKind[stream], bytes))
  }

  /** Resolves when whoever is attached has all output, or is gone. */
  async drained(): Promise<void> {
    if (this.#attached !== undefined) await send(this.#attached, encodeFrame(FrameKind.done))
  }

  /** The last word to all who wait for it. */
  tellEnd(exit: LocalExit, error: unknown): void {
    const last =
      error === undefined
        ? encodeJson(FrameKind.exit, exit)
        : encodeJson(FrameKind.failed, jsonOf(error))
    for (const socket of this.#waiting) socket.end(last)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#connections) {
      if (!this.#waiting.has(socket)) socket.destroy()
    }
    await closed
  }

  async #accept(socket: Socket): Promise<void> {
    this.#connections.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.#connections.delete(socket)
      this.#waiting.delete(socket)
      if (this.#attached === socket) {
        this.#attached = undefined
        this.#leftAlone()
      }
    })
    try {
      const frames = framesOf(socket)
      const { value: first } = await frames.next()
      if (first === undefined) return void socket.destroy()
      await this.#answer(socket, frames, JSON.parse(first.payload.toString()) as KeeperRequest)
    } catch (error) {
      if (!socket.destroyed) socket.end(encodeJson(FrameKind.failed, jsonOf(error)))
    }
  }

  async #answer(socket: Socket, frames: AsyncGenerator<Frame>, request: KeeperRequest) {
    switch (request.op) {
      case 'attach':
        return await this.#attach(socket, frames, request.size)
      case 'awaitStart':
        this.#waiting.add(socket)
        return this.#tellStart()
      case 'exec':
        return await serveExec(this.#running().agent, socket, frames, request)
      case 'stop':
        return await this.#stop(socket, request)
      case 'kill':
        this.#waiting.add(socket)
        return await this.#running().guest.kill()
      case 'signal':
        await this.#running().agent.signal(request.signal)
        return void socket.end(encodeJson(FrameKind.exit, {}))
      case 'stats':
        return void socket.end(encodeJson(FrameKind.exit, await this.#stats()))
    }
  }

  async #attach(
    socket: Socket,
    frames: AsyncGenerator<Frame>,
    size: TerminalSize | undefined,
  ): Promise<void> {
    if (this.#attached !== undefined) {
      throw new LocalError('local.state_bad', {
        what: 'somebody is attached to the machine',
        fix: 'godwit local logs -f shows its output',
      })
    }
    this.#attached = socket
    this.#waiting.add(socket)
    this.#size = size
    this.#isAttached.resolve()
    for await (const { kind, payload } of frames) {
      if (kind === FrameKind.resize) this.#resize(JSON.parse(payload.toString()))
      if (kind !== FrameKind.stdin && kind !== FrameKind.stdinEnd) continue
      await this.#isRunning.promise // what is typed while it boots waits for it
      const input = this.#kept?.agent.stdin
      if (kind === FrameKind.stdinEnd) input?.end()
      else if (input !== undefined) await feed(input, payload)
    }
    if (!socket.writableEnded) socket.destroy() // it left; the end of the machine closes it otherwise
  }

  #resize(size: TerminalSize): void {
    this.#size = size
    this.#kept?.agent.resizeEntrypoint(size)
  }

  async #stop(socket: Socket, request: Extract<KeeperRequest, { op: 'stop' }>): Promise<void> {
    const { agent, record } = this.#running()
    this.#waiting.add(socket)
    await agent.stop({
      stopSignal: request.signal ?? stopSignalOf(record.stopSignal),
      timeoutMs: request.timeoutMs ?? STOP_TIMEOUT_MS,
    })
  }

  async #stats() {
    const { agent, guest } = this.#running()
    const [seen, usage] = await Promise.all([agent.stats(), guest.usage()])
    return {
      seen,
      usage: { ...usage, cpuNs: String(usage.cpuNs), throttledNs: String(usage.throttledNs) },
    }
  }

  #tellStart(): void {
    if (this.#kept === undefined) return
    for (const socket of this.#waiting) {
      if (socket !== this.#attached) socket.write(encodeFrame(FrameKind.done))
    }
  }

  /** A bound machine does not run on for nobody. */
  #leftAlone(): void {
    const kept = this.#kept
    if (kept === undefined || !kept.record.isBound) return
    const stopSignal = stopSignalOf(kept.record.stopSignal)
    kept.agent.stop({ stopSignal, timeoutMs: STOP_TIMEOUT_MS }).catch((error: unknown) => {
      if (errorCode(error) !== 'guest.channel_lost') console.error(error) // it ends anyway
    })
  }

  #running(): Kept {
    if (this.#kept !== undefined) return this.#kept
    throw new LocalError('local.state_bad', {
      what: 'the machine is starting or ending',
      fix: 'try again',
    })
  }
}

function jsonOf(error: unknown) {
  if (error instanceof GodwitError) return error.toJSON()
  return { code: 'local.keeper_failed', what: String(error), values: {} }
}
