/**
 * What a keeper and those who ask it say to each other over its unix socket: frames of a type, a length and
 * a payload. The first frame of a connection is the request, and a connection carries one.
 *
 *   offset 0 type u8, 1 length u32 big-endian, 5 payload
 */
import type { Socket } from 'node:net'
import type { TerminalSize } from '#guest'
import { LocalError } from '../errors.ts'
import type { LocalExit } from '../machine-record.ts'

export const FrameKind = {
  request: 0,
  stdin: 1,
  stdout: 2,
  stderr: 3,
  /** No more input. */
  stdinEnd: 4,
  resize: 5,
  /** To an exec: the number of a signal. */
  signal: 6,
  /** It is done, or runs. */
  done: 7,
  /** The connection's last: an error. */
  failed: 8,
  /** The connection's last: how the command ended. */
  exit: 9,
} as const
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind]

export type KeeperRequest =
  /** Output of the command from here on; input, when it takes any. One at a time. */
  | { readonly op: 'attach'; readonly size?: TerminalSize }
  | {
      readonly op: 'exec'
      readonly argv: readonly [string, ...string[]]
      readonly env?: Readonly<Record<string, string>>
      readonly user?: { readonly uid: number; readonly gid: number; readonly groups?: number[] }
      readonly cwd?: string
      readonly size?: TerminalSize
    }
  /** Answered when the command runs, or has ended before anybody could tell. */
  | { readonly op: 'awaitStart' }
  /** Answered when the machine has ended. */
  | { readonly op: 'stop'; readonly signal?: number; readonly timeoutMs?: number }
  | { readonly op: 'kill' }
  | { readonly op: 'signal'; readonly signal: number }
  | { readonly op: 'stats' }

export type { LocalExit }

export interface Frame {
  readonly kind: FrameKind
  readonly payload: Buffer
}

const HEADER_BYTES = 5
const PAYLOAD_BYTES_MAX = 1 << 20

export function encodeFrame(kind: FrameKind, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length)
  frame.writeUInt8(kind, 0)
  frame.writeUInt32BE(payload.length, 1)
  frame.set(payload, HEADER_BYTES)
  return frame
}

export const encodeJson = (kind: FrameKind, value: unknown): Buffer =>
  encodeFrame(kind, Buffer.from(JSON.stringify(value)))

/** The frames of a connection until it ends. @throws LocalError local.keeper_failed: no frames */
export async function* framesOf(socket: Socket): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const piece of socket) {
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece])
    while (rest.length >= HEADER_BYTES) {
      const length = rest.readUInt32BE(1)
      if (length > PAYLOAD_BYTES_MAX) {
        throw new LocalError('local.keeper_failed', { what: 'a frame is too large' })
      }
      if (rest.length < HEADER_BYTES + length) break
      const kind = rest.readUInt8(0) as FrameKind
      yield { kind, payload: rest.subarray(HEADER_BYTES, HEADER_BYTES + length) }
      rest = rest.subarray(HEADER_BYTES + length)
    }
  }
}

/** Resolves when the peer takes more; at once when it is gone. */
export async function send(socket: Socket, frame: Buffer): Promise<void> {
  if (socket.destroyed || socket.writableEnded || socket.write(frame)) return
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.once('drain', resolve).once('close', resolve)
  await promise
  socket.off('drain', resolve).off('close', resolve)
}
