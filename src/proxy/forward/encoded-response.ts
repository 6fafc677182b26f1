import {
  type BrotliCompress,
  constants,
  createBrotliCompress,
  createGzip,
  createZstdCompress,
  type Gzip,
  type ZstdCompress,
} from 'node:zlib'
import type { Coding } from '../http1/content-coding.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import { INPUT_BYTES, INPUT_MARGIN, input } from '../net/channel.ts'
import type { Memory } from '../net/memory.ts'
import type { BackendConnection } from './backend-connection.ts'
import type { Downstream } from './downstream.ts'
import type { Engine } from './engine.ts'

/** Windows of at most 512 KiB: there is one for each response under way. Levels: for bytes that are sent once. */
const encoders: Readonly<Record<Coding, () => BrotliCompress | Gzip | ZstdCompress>> = {
  gzip: () => createGzip({ level: 5 }),
  br: () =>
    createBrotliCompress({
      params: { [constants.BROTLI_PARAM_QUALITY]: 4, [constants.BROTLI_PARAM_LGWIN]: 18 },
    }),
  zstd: () =>
    createZstdCompress({
      params: {
        [constants.ZSTD_c_compressionLevel]: 3,
        [constants.ZSTD_c_windowLog]: 19,
        [constants.ZSTD_c_checksumFlag]: 0,
      },
    }),
}

/** What has been written can be read at the other end, and what follows still refers to it. */
const flushKinds: Readonly<Record<Coding, number>> = {
  gzip: constants.Z_SYNC_FLUSH,
  br: constants.BROTLI_OPERATION_FLUSH,
  zstd: constants.ZSTD_e_flush,
}

/**
 * Stands between an exchange and its client, and encodes the body on the way. The exchange may end before the
 * client has all: the machine is free by then.
 */
export class EncodedResponse implements Downstream {
  readonly #engine: Engine
  readonly #client: Downstream
  readonly #encoder: BrotliCompress | Gzip | ZstdCompress
  readonly #flushKind: number
  readonly #isStream: boolean
  readonly #onDrain: () => void
  readonly #onEnd: () => void
  #hasUnflushed = false
  #isFull = false
  #isOver = false
  #trailer: Buffer | undefined

  /**
   * @param options.isStream what the machine has said by the end of a turn is sent on then, for it may not say
   *   more for long
   * @param options.onDrain the encoder takes data again
   * @param options.onEnd nothing more will be told to the client; called just before it is told the end
   */
  constructor(
    engine: Engine,
    client: Downstream,
    options: { coding: Coding; isStream: boolean; onDrain: () => void; onEnd: () => void },
  ) {
    this.#engine = engine
    this.#client = client
    this.#isStream = options.isStream
    this.#onDrain = options.onDrain
    this.#onEnd = options.onEnd
    this.#encoder = encoders[options.coding]()
    this.#flushKind = flushKinds[options.coding]
    engine.counters.compressionsActive += 1
    this.#encoder.on('data', (chunk: Buffer) => this.#encoded(chunk))
    this.#encoder.on('drain', () => this.#drained())
    this.#encoder.once('end', () => this.#ended())
    this.#encoder.once('error', (error) => this.#failed(error))
  }

  get takesResponse(): boolean {
    return !this.#isFull && this.#client.takesResponse
  }

  responseHead(head: ResponseHead): void {
    this.#client.responseHead(head)
  }

  responseData(memory: Memory, start: number, length: number): void {
    if (this.#isOver) return
    this.#isFull = !this.#encoder.write(Buffer.from(memory.bytes.subarray(start, start + length)))
    this.#hasUnflushed = true
    this.#engine.loop.letNodeRun()
  }

  responseFlush(): void {
    if (this.#hasUnflushed && this.#isStream && !this.#isOver) {
      this.#hasUnflushed = false
      this.#encoder.flush(this.#flushKind)
      this.#engine.loop.letNodeRun()
    }
    this.#client.responseFlush()
  }

  responseEnd(trailer: Buffer | undefined): void {
    this.#trailer = trailer
    this.#hasUnflushed = false
    this.#encoder.end()
    this.#engine.loop.letNodeRun()
  }

  broken(): void {
    this.cancel()
    this.#client.broken()
  }

  // An exchange says neither once it has told a head: only a whole Downstream may stand here.
  failed(status: number, code: string, location?: string): void {
    this.cancel()
    this.#client.failed(status, code, location)
  }
  upgraded(backend: BackendConnection, extra: Buffer, isWebSocket: boolean): void {
    this.cancel()
    this.#client.upgraded(backend, extra, isWebSocket)
  }

  requestDrained(): void {
    this.#client.requestDrained()
  }

  /** The client takes more of the response. */
  clientDrained(): void {
    if (this.#encoder.isPaused()) this.#encoder.resume()
    this.#engine.loop.letNodeRun()
  }

  /** Nobody wants the rest. */
  cancel(): void {
    if (this.#isOver) return
    this.#over()
    this.#encoder.destroy()
  }

  #encoded(chunk: Buffer): void {
    if (this.#isOver) return
    for (let at = 0; at < chunk.length; at += INPUT_BYTES) {
      const piece = chunk.subarray(at, at + INPUT_BYTES)
      input.bytes.set(piece, INPUT_MARGIN)
      this.#client.responseData(input, INPUT_MARGIN, piece.length)
    }
    this.#client.responseFlush()
    if (!this.#client.takesResponse) this.#encoder.pause()
  }

  #drained(): void {
    this.#isFull = false
    if (!this.#isOver) this.#onDrain()
  }

  #ended(): void {
    if (this.#isOver) return
    this.#over()
    this.#client.responseEnd(this.#trailer)
    this.#client.responseFlush()
  }

  #failed(error: Error): void {
    if (this.#isOver) return
    this.#engine.log.error({ err: error }, 'a response could not be encoded')
    this.#over()
    this.#client.broken()
  }

  #over(): void {
    this.#isOver = true
    this.#engine.counters.compressionsActive -= 1
    this.#onEnd()
  }
}
