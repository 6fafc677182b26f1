import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { errorCode, GodwitError, type MachineId } from '#base'
import { LocalError } from '../errors.ts'
import type { LocalHost } from '../local-host.ts'
import type { LocalExit } from '../machine-record.ts'
import { encodeJson, type Frame, FrameKind, framesOf, type KeeperRequest } from './wire.ts'

export const keeperSocket = (folder: string) => join(folder, 'keeper.sock')

/** Undefined: nobody listens. */
export async function connectKeeper(host: LocalHost, id: MachineId): Promise<Socket | undefined> {
  const socket = connect(keeperSocket(host.records.folderOf(id)))
  try {
    await once(socket, 'connect')
    return socket
  } catch (error) {
    if (['ENOENT', 'ECONNREFUSED', 'ECONNRESET'].includes(errorCode(error) ?? '')) return undefined
    throw error
  }
}

/** One request to the keeper of a machine, and what comes back. */
export class KeeperCall implements Disposable {
  readonly #socket: Socket

  private constructor(socket: Socket) {
    this.#socket = socket
  }

  /** @throws LocalError local.state_bad: the machine does not run */
  static async open(host: LocalHost, id: MachineId, request: KeeperRequest): Promise<KeeperCall> {
    const socket = await connectKeeper(host, id)
    if (socket === undefined) {
      throw new LocalError('local.state_bad', {
        what: 'the machine does not run',
        values: { machine: id },
        fix: `godwit local start ${id}`,
      })
    }
    socket.on('error', () => undefined) // the end of its frames tells
    socket.write(encodeJson(FrameKind.request, request))
    return new KeeperCall(socket)
  }

  get socket(): Socket {
    return this.#socket
  }

  /** All frames up to the last. @throws what the keeper failed with; LocalError local.keeper_failed */
  async *frames(): AsyncGenerator<Frame> {
    for await (const frame of framesOf(this.#socket)) {
      if (frame.kind === FrameKind.failed) throw errorFrom(frame.payload)
      yield frame
      if (frame.kind === FrameKind.exit) return
    }
    throw new LocalError('local.keeper_failed', {
      what: 'the process that keeps the machine went away',
      fix: 'godwit local list shows what is left of it',
    })
  }

  /** The end of the machine or command, when its output is of no interest. */
  async ended(): Promise<LocalExit> {
    for await (const { kind, payload } of this.frames()) {
      if (kind === FrameKind.exit) return JSON.parse(payload.toString()) as LocalExit
    }
    throw new TypeError('frames() ends with an exit or throws')
  }

  /** Resolves at the first answer: done, or already ended. */
  async started(): Promise<void> {
    for await (const { kind } of this.frames()) {
      if (kind === FrameKind.done || kind === FrameKind.exit) return
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}

/** An error of the keeper's process, with its code. */
class KeeperError extends GodwitError {
  static override readonly catalogue = new Proxy({}, { get: () => ({ status: 500 }) })
}

function errorFrom(payload: Buffer): GodwitError {
  const { code, what, values, fix } = JSON.parse(payload.toString())
  return new KeeperError(code, { what, values, fix })
}
