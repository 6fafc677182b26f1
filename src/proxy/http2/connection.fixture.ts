import { HeadWriter } from '../http1/head-writer.ts'
import { Memory, MemoryPool } from '../net/memory.ts'
import { FRAME_HEADER_BYTES, PREFACE, readUint24, readUint31 } from './frame.ts'
import { FrameWriter, STAGE_BYTES } from './frame-writer.ts'
import type { HpackDecoder } from './hpack-decoder.ts'
import { writeInteger } from './hpack-encoder.ts'
import type { RequestLines } from './request-lines.ts'
import { ServerConnection } from './server-connection.ts'
import { ServerStream } from './server-stream.ts'

/** A frame of RFC 9113, section 4.1. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = NOTHING,
): Buffer {
  const head = Buffer.alloc(FRAME_HEADER_BYTES)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}
const NOTHING = Buffer.alloc(0)

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A block of fields, each told as it is. */
export function block(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const out = new HeadWriter(Buffer.alloc(128 << 10))
  for (const field of fields) {
    writeInteger(out, 0, 4, 0)
    for (const text of field) {
      writeInteger(out, 0, 7, text.length)
      out.text(text)
    }
  }
  return Buffer.from(out.bytes.subarray(0, out.at))
}

export const GET: readonly (readonly [string, string])[] = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':path', '/'],
  [':authority', 'a.test'],
]

/** What a client says before its first request. */
export const HELLO: Buffer = Buffer.concat([PREFACE, frame(4, 0, 0)])

export interface SentFrame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

class RecordingStream extends ServerStream {
  readonly #events: string[]
  readonly #server: TestServer
  opened = 0
  constructor(server: TestServer, events: string[]) {
    super()
    this.#server = server
    this.#events = events
  }
  begin(lines: RequestLines): void {
    const head =
      lines.result < 0 ? `fault ${lines.result}` : lines.bytes.toString('latin1', 0, lines.length)
    this.#events.push(`${this.id} begin ${head}`)
    this.#server.begun.push(this)
  }
  requestData(memory: Memory, start: number, length: number): void {
    this.#server.received(this.id, Buffer.from(memory.bytes.subarray(start, start + length)))
    if (this.#server.takesBodies) this.#server.connection.returned(this, length)
  }
  requestEnded(trailer: Buffer | undefined): void {
    this.#events.push(`${this.id} ended ${trailer?.toString('latin1') ?? ''}`)
  }
  windowOpened(): void {
    this.opened += 1
  }
  closed(): void {
    this.#events.push(`${this.id} closed`)
  }
}

/** A server's connection with nothing around it: what it is told, what it tells, what it sends. */
export class TestServer {
  readonly events: string[] = []
  readonly bodies = new Map<number, Buffer>()
  readonly begun: RecordingStream[] = []
  readonly connection: ServerConnection
  readonly #out: FrameWriter
  readonly #sent: Buffer[] = []
  readonly pool = new MemoryPool({ size: 4096, bytesMax: 1 << 20 })
  takesBodies = true
  nowMs = 0

  constructor({ streamsMax = 100 }: { streamsMax?: number } = {}) {
    const stages = new MemoryPool({ size: STAGE_BYTES, bytesMax: STAGE_BYTES })
    this.#out = new FrameWriter({
      takeStage: () => stages.take(),
      sendStage: (memory, length) => {
        this.#sent.push(Buffer.from(memory.bytes.subarray(0, length)))
        stages.give(memory)
      },
    })
    this.connection = new ServerConnection(
      {
        takeStream: () => new RecordingStream(this, this.events),
        closedStream: () => undefined,
        abused: (code) => this.events.push(code),
        webSocketKey: () => 'KEY',
      },
      this.#out,
      this.pool,
      streamsMax,
    )
  }

  received(id: number, chunk: Buffer): void {
    this.bodies.set(id, Buffer.concat([this.bodies.get(id) ?? NOTHING, chunk]))
  }

  /** @param pieces where the octets are cut */
  say(bytes: Buffer, pieces: readonly number[] = []): this {
    const memory = new Memory(Math.max(1, bytes.length))
    let at = 0
    for (const end of [...pieces, bytes.length]) {
      memory.bytes.set(bytes.subarray(at, end), 0)
      if (end > at && !this.connection.isOver)
        this.connection.receive(memory, 0, end - at, this.nowMs)
      at = Math.max(at, end)
      this.connection.serveBlocked()
    }
    return this
  }

  /** What was sent since the last time. */
  sent(): SentFrame[] {
    this.#out.flush()
    const bytes = Buffer.concat(this.#sent.splice(0))
    const frames: SentFrame[] = []
    for (let at = 0; at < bytes.length; ) {
      const start = at + FRAME_HEADER_BYTES
      const end = start + readUint24(bytes, at)
      frames.push({
        type: bytes[at + 3] as number,
        flags: bytes[at + 4] as number,
        stream: readUint31(bytes, at + 5),
        payload: bytes.subarray(start, end),
      })
      at = end
    }
    return frames
  }
}

/** The fields of a block that a server wrote. */
export function fieldsOf(decoder: HpackDecoder, payload: Buffer): Record<string, string> {
  const fields: Record<string, string> = {}
  const isFine = decoder.decode(payload, 0, payload.length, {
    field(name, nameStart, nameEnd, value, valueStart, valueEnd) {
      const text = (bytes: Uint8Array, start: number, end: number) =>
        Buffer.from(bytes.subarray(start, end)).toString('latin1')
      fields[text(name, nameStart, nameEnd)] = text(value, valueStart, valueEnd)
    },
  })
  if (!isFine) throw new TypeError('no block')
  return fields
}
