import assert from 'node:assert/strict'
import { BackhaulError } from './errors.ts'

/**
 * The frame between two proxies. Integers are big-endian.
 *
 *   offset  size  field
 *   0       1     kind      FrameKind
 *   1       1     flags     REUSABLE on end; HEARS_LEAVING on hello; 0 else
 *   2       2     length    payload bytes, 0 to PAYLOAD_BYTES_MAX
 *   4       4     stream    0 for the link itself
 *   8       n     payload
 *
 * Payloads: hello version (1) and host id; open see open-facts.ts; accepted load (4) and connect time in us (4), 0 for a
 * connection that was idle;
 * refused load (4) and a code of 4 letters; data bytes; window credit (4); reset reason (1); ping and pong 8
 * bytes that come back; leaving the id of a machine, and none of a stream; end and goaway none.
 */
export const FrameKind = {
  hello: 0,
  open: 1,
  accepted: 2,
  refused: 3,
  data: 4,
  window: 5,
  end: 6,
  reset: 7,
  ping: 8,
  pong: 9,
  goaway: 10,
  /** A machine is about to be stopped, or the stream to be ended. Only to who said HEARS_LEAVING: others end the link over it. */
  leaving: 11,
} as const
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind]
const KIND_MAX = FrameKind.leaving

export const PROTOCOL_VERSION = 1
export const HEADER_BYTES = 8
export const PAYLOAD_BYTES_MAX = 16_384
/** On `end`: the exchange is whole, the machine's connection may serve another. */
export const REUSABLE = 1
/** On `hello`: whoever says it knows `leaving`, which version 1 did not have at first. */
export const HEARS_LEAVING = 1

/** Refilled for each frame. `payload` is a view, valid until the next frame is read. */
export class Frame {
  kind: FrameKind = FrameKind.hello
  flags = 0
  stream = 0
  payload: Buffer = EMPTY
}

const EMPTY: Buffer = Buffer.alloc(0)

/** A header alone: the payload follows in a buffer of its own, not copied. */
export function encodeHeader(
  kind: FrameKind,
  flags: number,
  stream: number,
  length: number,
): Buffer {
  assert(length <= PAYLOAD_BYTES_MAX)
  const bytes = Buffer.allocUnsafe(HEADER_BYTES)
  bytes.writeUInt8(kind, 0)
  bytes.writeUInt8(flags, 1)
  bytes.writeUInt16BE(length, 2)
  bytes.writeUInt32BE(stream, 4)
  return bytes
}

export function encodeFrame(kind: FrameKind, stream: number, payload = EMPTY, flags = 0): Buffer {
  assert(payload.length <= PAYLOAD_BYTES_MAX)
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length)
  bytes.writeUInt8(kind, 0)
  bytes.writeUInt8(flags, 1)
  bytes.writeUInt16BE(payload.length, 2)
  bytes.writeUInt32BE(stream, 4)
  bytes.set(payload, HEADER_BYTES)
  return bytes
}

/** Cuts a stream of bytes into frames. What is left of a chunk is kept until the next one. */
export class FrameReader {
  #rest: Buffer = EMPTY
  #at = 0

  push(chunk: Buffer): void {
    const left = this.#rest.length - this.#at
    this.#rest = left === 0 ? chunk : Buffer.concat([this.#rest.subarray(this.#at), chunk])
    this.#at = 0
  }

  /** Fills `frame`; false when more bytes are needed. @throws BackhaulError backhaul.malformed */
  next(frame: Frame): boolean {
    const { length } = this.#rest
    const start = this.#at
    if (length - start < HEADER_BYTES) return false
    const kind = this.#rest[start] as number
    if (kind > KIND_MAX) throw malformed('kind', kind)
    const size = this.#rest.readUInt16BE(start + 2)
    if (size > PAYLOAD_BYTES_MAX) throw malformed('length', size)
    const end = start + HEADER_BYTES + size
    if (length < end) return false
    frame.kind = kind as FrameKind
    frame.flags = this.#rest[start + 1] as number
    frame.stream = this.#rest.readUInt32BE(start + 4)
    frame.payload = this.#rest.subarray(start + HEADER_BYTES, end)
    this.#at = end
    return true
  }
}

export function malformed(field: string, value: unknown): BackhaulError {
  return new BackhaulError('backhaul.malformed', {
    what: 'a proxy sent bytes that are no frame of the backhaul',
    values: { field, value },
    fix: 'run the same version on both hosts',
  })
}
