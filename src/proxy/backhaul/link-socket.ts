import type { Socket } from 'node:net'
import type { Clock } from '#base'
import { BackhaulError } from './errors.ts'
import { LinkCore, type LinkHandlers } from './link-core.ts'

/** What a socket may hold unsent: more would only wait there instead of in its stream. */
const UNSENT_BYTES_MAX = 256 * 1024
const PULL_BYTES = 128 * 1024
/** Fewer bytes than this are copied together: one buffer is cheaper to write than many. */
const COPY_BYTES_MAX = 16 * 1024

export interface LinkSocketOptions {
  readonly socket: Socket
  readonly isOpener: boolean
  readonly ownHostId: string
  readonly clock: Clock
  readonly handlers: Omit<LinkHandlers, 'writable'>
  /** Called once, when the link is gone; its streams have been told. */
  readonly closed: (error: Error | undefined) => void
}

/** A link over a TCP connection of node:net. Whoever makes it calls `tick` every PING_MS or so. */
export class LinkSocket {
  readonly core: LinkCore
  readonly #socket: Socket
  readonly #clock: Clock
  #isFlushing = false
  #isClosed = false
  #error: Error | undefined

  constructor({ socket, isOpener, ownHostId, clock, handlers, closed }: LinkSocketOptions) {
    this.#socket = socket
    this.#clock = clock
    const writable = () => this.#flushSoon()
    const all = { ...handlers, writable }
    this.core = new LinkCore(isOpener, ownHostId, all, clock.monotonicMs())
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('drain', () => this.#flush())
    socket.on('connect', () => this.#flush())
    socket.on('error', (error) => {
      this.#error ??= error
    })
    socket.on('close', () => {
      this.#isClosed = true
      this.core.down()
      closed(this.#error)
    })
    socket.on('end', () => socket.destroy())
    this.#flushSoon()
  }

  /** Looks whether the path still lives; ends the link when not. */
  tick(): void {
    if (this.#isClosed || !this.core.tick(this.#clock.monotonicMs())) return
    this.close(new Error('the path is dead: nothing came in time'))
  }

  /** After what is queued. */
  end(): void {
    this.#flush()
    this.#socket.end()
  }

  close(error?: Error): void {
    this.#error ??= error
    this.#socket.destroy()
  }

  #receive(chunk: Buffer): void {
    try {
      this.core.receive(chunk, this.#clock.monotonicMs())
    } catch (error) {
      if (!(error instanceof BackhaulError)) throw error
      this.close(error)
    }
  }

  /** Everything that one turn of the event loop queues goes out together. */
  #flushSoon(): void {
    if (this.#isFlushing || this.#isClosed) return
    this.#isFlushing = true
    setImmediate(() => {
      this.#isFlushing = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#isClosed || this.#socket.connecting) return
    while (this.core.hasOutput && this.#socket.writableLength < UNSENT_BYTES_MAX) {
      const chunks = this.core.pull(PULL_BYTES)
      let bytes = 0
      for (const chunk of chunks) bytes += chunk.length
      if (bytes === 0) return
      if (bytes <= COPY_BYTES_MAX) this.#socket.write(Buffer.concat(chunks, bytes))
      else {
        this.#socket.cork()
        for (const chunk of chunks) this.#socket.write(chunk)
        this.#socket.uncork()
      }
    }
  }
}
