import {
  encodeFrame,
  encodeHeader,
  FrameKind,
  HEADER_BYTES,
  PAYLOAD_BYTES_MAX,
  REUSABLE,
} from './frame.ts'

/** Why a stream ended before both directions had. */
export const ResetReason = {
  /** The other end of the stream broke: the machine's connection, or the client's. */
  broken: 0,
  /** Nobody wants it any more. */
  cancelled: 1,
  /** It sent more than it may. */
  flowControl: 2,
  /** The link is gone. */
  linkDown: 3,
} as const
export type ResetReason = (typeof ResetReason)[keyof typeof ResetReason]

/** What the owner of a stream is told. Chunks are the owner's for good. */
export interface StreamHandlers {
  /** The worker took it and has a connection. */
  accepted?(load: number, connectUs: number): void
  /** It did not, and no byte reached a machine. Last call. */
  refused?(code: string, load: number): void
  data(chunk: Buffer): void
  /** The peer sends no more. `isReusable`: the exchange is whole. */
  ended(isReusable: boolean): void
  /** Last call. */
  reset(reason: ResetReason): void
  /** What was queued has gone out: send on. */
  drained(): void
  /** The worker is about to end it, whatever goes on: who has a WebSocket on it may say goodbye. */
  leaving?(): void
}

export const WINDOW_BYTES = 256 * 1024

/** The state of one stream on one side. All byte counts are of payload. */
export class LinkStream {
  readonly id: number
  handlers: StreamHandlers
  /** Waiting to be sent, in order. */
  readonly queue: Buffer[] = []
  queuedBytes = 0
  /** The peer takes so much more. */
  sendCredit = WINDOW_BYTES
  /** We take so much more. */
  receiveCredit = WINDOW_BYTES
  /** Consumed and not yet granted again. */
  consumedBytes = 0
  wantsEnd = false
  isReusable = false
  hasSentEnd = false
  hasReceivedEnd = false
  /** It is in the link's round of those that can send. */
  isScheduled = false
  wasFull = false

  constructor(id: number, handlers: StreamHandlers) {
    this.id = id
    this.handlers = handlers
  }

  get canSend(): boolean {
    if (this.hasSentEnd) return false
    if (this.queuedBytes > 0) return this.sendCredit > 0
    return this.wantsEnd
  }

  /** Takes one frame of what waits into `out`: data up to the maximum, or the end. HOT. @returns bytes */
  takeFrame(out: Buffer[]): number {
    if (this.queuedBytes === 0) {
      this.hasSentEnd = true
      out.push(encodeFrame(FrameKind.end, this.id, undefined, this.isReusable ? REUSABLE : 0))
      return HEADER_BYTES
    }
    const size = Math.min(this.queuedBytes, this.sendCredit, PAYLOAD_BYTES_MAX)
    out.push(encodeHeader(FrameKind.data, 0, this.id, size))
    let left = size
    while (left > 0) {
      const chunk = this.queue[0] as Buffer
      if (chunk.length <= left) {
        this.queue.shift()
        out.push(chunk)
        left -= chunk.length
      } else {
        out.push(chunk.subarray(0, left))
        this.queue[0] = chunk.subarray(left)
        left = 0
      }
    }
    this.queuedBytes -= size
    this.sendCredit -= size
    if (this.wasFull && this.queuedBytes < WINDOW_BYTES / 2) {
      this.wasFull = false
      this.handlers.drained()
    }
    return HEADER_BYTES + size
  }

  /** It is over: nothing of it is sent any more. */
  clear(): void {
    this.queue.length = 0
    this.queuedBytes = 0
    this.wantsEnd = true
    this.hasSentEnd = true
  }
}
