/** Close, 1001: going away. Source: RFC 6455, sections 5.5.1 and 7.4.1. */
const GOING_AWAY = Buffer.from([0x88, 2, 0x03, 0xe9])
const MASKED = 0x80

/**
 * The way from the machine to the client of a WebSocket, where the proxy may say goodbye between two frames. The
 * client's answer goes to the machine, which takes it for the client's own wish and ends the connection.
 */
export class WebSocketFarewell {
  #state: 'none' | 'due' | 'said' = 'none'
  /** Of the frame under way. */
  #payloadLeft = 0
  readonly #header = Buffer.alloc(14)
  #headerBytes = 0

  /** From the next end of a frame on the client gets no more of the machine's. */
  get isBegun(): boolean {
    return this.#state !== 'none'
  }

  /** bytes[start, end) came from the machine. HOT. @returns the end of what is passed on of it */
  pass(bytes: Uint8Array, start: number, end: number): number {
    if (this.#state === 'said') return start
    let at = start
    do at = this.#frameEnd(bytes, at, end)
    while (at < end && this.#state === 'none')
    return at
  }

  begin(): void {
    if (this.#state === 'none') this.#state = 'due'
  }

  /** @returns once, when it is due and the last frame has ended: the frame to be sent to the client */
  take(): Buffer | undefined {
    if (this.#state !== 'due' || this.#payloadLeft > 0 || this.#headerBytes > 0) return undefined
    this.#state = 'said'
    return GOING_AWAY
  }

  /** Reads up to the next end of a frame, or to `end`. Source: RFC 6455, section 5.2. */
  #frameEnd(bytes: Uint8Array, start: number, end: number): number {
    let at = start
    while (at < end) {
      if (this.#payloadLeft > 0) {
        const taken = Math.min(this.#payloadLeft, end - at)
        this.#payloadLeft -= taken
        at += taken
        if (this.#payloadLeft === 0) return at
        continue
      }
      this.#header[this.#headerBytes] = bytes[at] as number
      this.#headerBytes += 1
      at += 1
      if (this.#headerBytes < 2 || this.#headerBytes < headerLength(this.#header)) continue
      this.#headerBytes = 0
      this.#payloadLeft = payloadLength(this.#header)
      if (this.#payloadLeft === 0) return at
    }
    return end
  }
}

function headerLength(header: Buffer): number {
  const second = header[1] as number
  const length = second & ~MASKED
  return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + (second & MASKED ? 4 : 0)
}

function payloadLength(header: Buffer): number {
  const length = (header[1] as number) & ~MASKED
  if (length === 126) return header.readUInt16BE(2)
  return length === 127 ? header.readUInt32BE(2) * 2 ** 32 + header.readUInt32BE(6) : length
}
