/**
 * The frame on the byte stream between host and guest; native/init/PROTOCOL.md is the contract, and
 * the other end is native/init/frame.c: change both, and FRAME_VERSION, in one commit.
 *
 *   offset  size  field      integers are big-endian
 *   0       1     version    FRAME_VERSION
 *   1       1     type       FrameType
 *   2       2     id         0 is the session and the entrypoint; the host chooses the others
 *   4       1     part       0 input, 1 output, 2 error output
 *   5       1     zero
 *   6       2     length     payload bytes, 0 to PAYLOAD_BYTES_MAX
 *   8       4     checksum   CRC-32 of bytes 0 to 7 and of the payload
 *   12      n     payload
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'

export const FRAME_VERSION = 1
export const HEADER_BYTES = 12
export const PAYLOAD_BYTES_MAX = 16_384
export const FRAME_BYTES_MAX = HEADER_BYTES + PAYLOAD_BYTES_MAX
/** Zeros that each side sends first: more than a frame that was cut short can swallow. */
export const PREAMBLE_BYTES = 2 * FRAME_BYTES_MAX

export const FrameType = {
  ...{ hello: 0x01, configure: 0x02, start: 0x03, stop: 0x04, restart: 0x05, shutdown: 0x06 },
  ...{ signal: 0x07, stats: 0x08, setClock: 0x09, reseed: 0x0a, findDevices: 0x0b },
  ...{ exec: 0x10, put: 0x11, get: 0x12, dial: 0x13, accept: 0x14, sftp: 0x15 },
  ...{ data: 0x40, end: 0x41, window: 0x42, resize: 0x43, reset: 0x44 },
  ...{ welcome: 0x80, done: 0x81, failed: 0x82, state: 0x83, closed: 0x84 },
} as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

export interface Frame {
  /** Any byte may come: what is not in FrameType is for a later version. */
  readonly type: number
  readonly id: number
  readonly part: number
  readonly payload: Buffer
}

/** @param frame of our own making: its fields fit. */
export function encodeFrame({ type, id, part, payload }: Frame): Buffer {
  assert(payload.length <= PAYLOAD_BYTES_MAX && id >= 0 && id <= 0xffff)
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length)
  bytes.writeUInt8(FRAME_VERSION, 0)
  bytes.writeUInt8(type, 1)
  bytes.writeUInt16BE(id, 2)
  bytes.writeUInt8(part, 4)
  bytes.writeUInt8(0, 5)
  bytes.writeUInt16BE(payload.length, 6)
  bytes.set(payload, HEADER_BYTES)
  bytes.writeUInt32BE(crc32(payload, crc32(bytes.subarray(0, 8))), 8)
  return bytes
}

/** One frame, a wait for more, or no frame where one must be: the session is over then. */
export type Parsed = Frame | 'more' | 'lost'

/**
 * Cuts the stream into frames. A fresh reader, and one that lost its step, hunts: it skips everything
 * until more zeros than a payload holds have passed, and begins at the byte after them.
 */
export class FrameReader {
  #isInStep = false
  #zeroCount = 0
  #rest: Buffer = Buffer.alloc(0)

  /** The bytes belong to the reader from now on: payloads are views into them. */
  push(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
  }

  /** Call it until it says 'more'. */
  next(): Parsed {
    if (!this.#isInStep) this.#hunt()
    if (!this.#isInStep || this.#rest.length === 0) return 'more'
    const bytes = this.#rest
    if (bytes.readUInt8(0) !== FRAME_VERSION) return this.#lose(1)
    if (bytes.length < HEADER_BYTES) return 'more'
    const payloadBytes = bytes.readUInt16BE(6)
    if (bytes.readUInt8(5) !== 0 || payloadBytes > PAYLOAD_BYTES_MAX)
      return this.#lose(HEADER_BYTES)
    const end = HEADER_BYTES + payloadBytes
    if (bytes.length < end) return 'more'
    const payload = bytes.subarray(HEADER_BYTES, end)
    if (crc32(payload, crc32(bytes.subarray(0, 8))) !== bytes.readUInt32BE(8))
      return this.#lose(end)
    this.#rest = bytes.subarray(end)
    const type = bytes.readUInt8(1)
    return { type, id: bytes.readUInt16BE(2), part: bytes.readUInt8(4), payload }
  }

  #lose(skippedBytes: number): 'lost' {
    this.#rest = this.#rest.subarray(skippedBytes)
    this.#isInStep = false
    this.#zeroCount = 0
    return 'lost'
  }

  #hunt(): void {
    const bytes = this.#rest
    for (let at = 0; at < bytes.length; at += 1) {
      if (bytes[at] === 0) this.#zeroCount += 1
      else if (this.#zeroCount > PAYLOAD_BYTES_MAX) {
        this.#isInStep = true
        this.#rest = bytes.subarray(at)
        return
      } else this.#zeroCount = 0
    }
    this.#rest = Buffer.alloc(0)
  }
}
