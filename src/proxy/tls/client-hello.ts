/**
 * Reads a TLS ClientHello that has been peeked at, not taken: who is asked for, and what the client
 * speaks. A core without I/O. Source: RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3; RFC 7301.
 */
export interface ClientHello {
  /** Lower case; '' when none was sent. */
  readonly serverName: string
  /** In the client's order of preference. */
  readonly alpn: readonly string[]
}

/** A ClientHello larger than this is refused. Post-quantum key shares make 1.8 KB, so there is room. */
export const CLIENT_HELLO_BYTES_MAX = 16 << 10

const HANDSHAKE = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const ALPN = 16
const RECORD_HEADER_BYTES = 5
const RECORD_BYTES_MAX = 1 << 14

/**
 * @param bytes from the first byte of the connection on.
 * @returns 'incomplete' when more bytes are needed, 'bad' when this is no ClientHello.
 */
export function parseClientHello(bytes: Buffer): ClientHello | 'incomplete' | 'bad' {
  const message = joinRecords(bytes)
  if (message === 'incomplete' || message === 'bad') return message
  try {
    return readHello(new Cursor(message))
  } catch (error) {
    if (error instanceof RangeError) return 'bad' // a length that lies
    throw error
  }
}

/** The handshake message, however many records carry it. */
function joinRecords(bytes: Buffer): Buffer | 'incomplete' | 'bad' {
  if (bytes.length > 0 && bytes[0] !== HANDSHAKE) return 'bad'
  const parts: Buffer[] = []
  let held = 0
  let at = 0
  for (;;) {
    if (at + RECORD_HEADER_BYTES > bytes.length) return 'incomplete'
    if (bytes[at] !== HANDSHAKE || bytes[at + 1] !== 3) return 'bad'
    const length = bytes.readUInt16BE(at + 3)
    if (length === 0 || length > RECORD_BYTES_MAX) return 'bad'
    const part = bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length)
    parts.push(part)
    held += part.length
    const joined = Buffer.concat(parts, held)
    if (held >= 1 && joined[0] !== CLIENT_HELLO) return 'bad'
    if (held >= 4) {
      const total = 4 + joined.readUIntBE(1, 3)
      if (total > CLIENT_HELLO_BYTES_MAX) return 'bad'
      if (held >= total) return joined.subarray(4, total)
    }
    if (part.length < length) return 'incomplete'
    at += RECORD_HEADER_BYTES + length
  }
}

/** Reads forward; a length that points past the end throws RangeError. */
class Cursor {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }
  uint8(): number {
    this.#at += 1
    return this.#bytes.readUInt8(this.#at - 1)
  }
  uint16(): number {
    this.#at += 2
    return this.#bytes.readUInt16BE(this.#at - 2)
  }
  take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new RangeError('a length points past the end')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
}

function readHello(hello: Cursor): ClientHello | 'bad' {
  hello.take(2 + 32) // legacy_version, random
  hello.take(hello.uint8()) // legacy_session_id
  hello.take(hello.uint16()) // cipher_suites
  hello.take(hello.uint8()) // legacy_compression_methods
  let serverName = ''
  let alpn: string[] = []
  if (hello.isAtEnd) return { serverName, alpn }
  const extensions = new Cursor(hello.take(hello.uint16()))
  while (!extensions.isAtEnd) {
    const type = extensions.uint16()
    const body = extensions.take(extensions.uint16())
    if (type === SERVER_NAME) {
      const name = readServerName(new Cursor(body))
      if (name === undefined) return 'bad'
      serverName = name
    } else if (type === ALPN) alpn = readAlpn(new Cursor(body))
  }
  return { serverName, alpn }
}

function readServerName(body: Cursor): string | undefined {
  const list = new Cursor(body.take(body.uint16()))
  while (!list.isAtEnd) {
    const type = list.uint8()
    const name = list.take(list.uint16())
    if (type !== 0) continue
    const text = name.toString('latin1').toLowerCase()
    return /^[a-z0-9_.-]{1,255}$/.test(text) ? text : undefined
  }
  return ''
}

function readAlpn(body: Cursor): string[] {
  const names: string[] = []
  const list = new Cursor(body.take(body.uint16()))
  while (!list.isAtEnd) names.push(list.take(list.uint8()).toString('latin1'))
  return names
}
