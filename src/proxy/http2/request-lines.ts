import { Fault } from '../http1/fault.ts'
import { isText, latin1 } from '../http1/field-lines.ts'
import { Field, fieldOf, hasUnderscore } from '../http1/field-name.ts'
import { HeadWriter } from '../http1/head-writer.ts'
import { AUTHORITY, FIELD_VALUE, NAME_FOLD, TARGET, TOKEN } from '../http1/octets.ts'
import { cleanTrailer } from '../http1/trailer.ts'
import type { FieldSink } from './hpack-decoder.ts'

/** Octets of all fields, with 32 for each (RFC 9113, section 6.5.2): what we announce and take. */
export const FIELDS_BYTES_MAX: number = 32 << 10
export const FIELDS_MAX = 128
/** No message of HTTP/2 (RFC 9113, section 8.1.1); beside the Faults, which are negative. */
export const MALFORMED = 1
export const TOO_LARGE = 2

const COOKIE_NAME = Buffer.from('cookie')
const HTTP_11 = Buffer.from(' HTTP/1.1\r\nHost: ')
const COOKIE = Buffer.from('cookie: ')
const CHUNKED = Buffer.from('Transfer-Encoding: chunked\r\n')
const WEBSOCKET = Buffer.from('Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ')
const SEPARATOR = Buffer.from('; ')
const VERSION_END = Buffer.from(' HTTP/1.1\r\n')

/** Pseudo-header fields (RFC 9113, section 8.3.1; RFC 8441), as bits. */
const METHOD = 1
const SCHEME = 2
const AUTHORITY_SAID = 4
const PATH = 8
const PROTOCOL = 16
const pseudoFields: readonly {
  readonly name: Buffer
  readonly bit: number
  readonly index: number
}[] = [
  [':method', METHOD],
  [':scheme', SCHEME],
  [':authority', AUTHORITY_SAID],
  [':path', PATH],
  [':protocol', PROTOCOL],
].map(([name, bit], index) => ({ name: Buffer.from(name as string), bit: bit as number, index }))
const METHOD_AT = 0
const AUTHORITY_AT = 2
const PATH_AT = 3
const PROTOCOL_AT = 4

/** What a name may hold: no capitals (RFC 9113, section 8.2.1). */
const NAME = Uint8Array.from({ length: 256 }, (_, octet) =>
  octet >= 65 && octet <= 90 ? 0 : (TOKEN[octet] as number),
)
const isBlank = (octet: number): boolean => octet === 32 || octet === 9

/**
 * Writes the fields of a request as an HTTP/1.1 client would have sent them; the strict parser of HTTP/1.1 then
 * judges them like any other request. No octet gets into a line here that could end it. One for all of the process:
 * what is written holds until the next `begin`.
 */
export class RequestLines implements FieldSink {
  readonly #out = new HeadWriter(Buffer.alloc(2 * FIELDS_BYTES_MAX))
  readonly #pseudo = new HeadWriter(Buffer.alloc(FIELDS_BYTES_MAX))
  readonly #pseudoEnds = new Int32Array(pseudoFields.length * 2)
  readonly #cookies = new HeadWriter(Buffer.alloc(2 * FIELDS_BYTES_MAX))
  #said = 0
  #isTrailer = false
  #hasStartLine = false
  #hasLength = false
  #count = 0
  #size = 0
  /** 0, MALFORMED, TOO_LARGE or a Fault: of what came so far. */
  result = 0
  isWebSocket = false
  /** Its messages may be far apart (gRPC). */
  isGrpc = false

  /** A head. */
  begin(): void {
    this.#reset(false)
  }

  /** A trailer section. */
  beginTrailer(): void {
    this.#reset(true)
  }

  #reset(isTrailer: boolean): void {
    this.#out.at = 0
    this.#pseudo.at = 0
    this.#cookies.at = 0
    this.#said = 0
    this.#isTrailer = isTrailer
    this.#hasStartLine = isTrailer
    this.#hasLength = false
    this.#count = 0
    this.#size = 0
    this.result = 0
    this.isWebSocket = false
    this.isGrpc = false
  }

  get bytes(): Buffer {
    return this.#out.bytes
  }
  get length(): number {
    return this.#out.at
  }

  /** HOT. */
  field(
    name: Uint8Array,
    nameStart: number,
    nameEnd: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void {
    if (this.result !== 0) return
    this.#count += 1
    this.#size += nameEnd - nameStart + valueEnd - valueStart + 32
    if (this.#size > FIELDS_BYTES_MAX || this.#count > FIELDS_MAX) this.result = TOO_LARGE
    else if (name[nameStart] === 58)
      this.result = this.#pseudoField(name, nameStart, nameEnd, value, valueStart, valueEnd)
    else this.result = this.#line(name, nameStart, nameEnd, value, valueStart, valueEnd)
  }

  #pseudoField(
    name: Uint8Array,
    nameStart: number,
    nameEnd: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): number {
    if (this.#hasStartLine) return MALFORMED // none after the first line, none in a trailer
    for (const { name: known, bit, index } of pseudoFields) {
      if (!isSame(name, nameStart, nameEnd, known)) continue
      if ((this.#said & bit) !== 0) return MALFORMED
      this.#said |= bit
      this.#pseudoEnds[index * 2] = this.#pseudo.at
      this.#pseudo.copy(value, valueStart, valueEnd)
      this.#pseudoEnds[index * 2 + 1] = this.#pseudo.at
      return 0
    }
    return MALFORMED
  }

  #line(
    name: Uint8Array,
    nameStart: number,
    nameEnd: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): number {
    if (!this.#hasStartLine) {
      const fault = this.#startLine()
      if (fault !== 0) return fault
    }
    let hash = 0
    for (let at = nameStart; at < nameEnd; at += 1) {
      const octet = name[at] as number
      if (NAME[octet] === 0) return MALFORMED
      hash = (hash * 31 + (NAME_FOLD[octet] as number)) | 0
    }
    if (nameEnd === nameStart) return MALFORMED
    for (let at = valueStart; at < valueEnd; at += 1) {
      if (FIELD_VALUE[value[at] as number] === 0) return MALFORMED
    }
    if (
      valueEnd > valueStart &&
      (isBlank(value[valueStart] as number) || isBlank(value[valueEnd - 1] as number))
    )
      return MALFORMED
    const found = fieldOf(name, nameStart, nameEnd, hash)
    // The parser drops a disguise.
    const field = found !== 0 && hasUnderscore(name, nameStart, nameEnd) ? Field.other : found
    switch (field) {
      case Field.connection:
      case Field['keep-alive']:
      case Field['proxy-connection']:
      case Field['transfer-encoding']:
      case Field.upgrade:
        return MALFORMED // RFC 9113, section 8.2.2
      case Field.te:
        if (!isSame(value, valueStart, valueEnd, TRAILERS)) return MALFORMED
        break
      case Field['content-length']:
        this.#hasLength = true
        break
      case Field.host:
        // The authority stands in its place already.
        if ((this.#said & AUTHORITY_SAID) !== 0)
          return this.#isAuthority(value, valueStart, valueEnd) ? 0 : MALFORMED
        break
      case Field.other:
        if (isSame(name, nameStart, nameEnd, COOKIE_NAME) && !this.#isTrailer) {
          if (this.#cookies.at > 0) this.#cookies.piece(SEPARATOR)
          this.#cookies.copy(value, valueStart, valueEnd)
          return 0
        }
        if (isSame(name, nameStart, nameEnd, CONTENT_TYPE))
          this.isGrpc = startsWith(value, valueStart, valueEnd, GRPC)
        break
    }
    const out = this.#out
    out.copy(name, nameStart, nameEnd)
    out.bytes[out.at] = 58
    out.bytes[out.at + 1] = 32
    out.at += 2
    out.copy(value, valueStart, valueEnd)
    out.lineEnd()
    return 0
  }

  #startLine(): number {
    this.#hasStartLine = true
    const said = this.#said
    const { bytes } = this.#pseudo
    const methodStart = this.#start(METHOD_AT)
    const methodEnd = this.#end(METHOD_AT)
    if ((said & METHOD) === 0 || methodStart === methodEnd) return MALFORMED
    for (let at = methodStart; at < methodEnd; at += 1)
      if (TOKEN[bytes[at] as number] === 0) return Fault.startLine
    const isConnect = isSame(bytes, methodStart, methodEnd, CONNECT)
    if ((said & PROTOCOL) !== 0) {
      if (!isConnect) return MALFORMED
      if (!isSame(bytes, this.#start(PROTOCOL_AT), this.#end(PROTOCOL_AT), WEBSOCKET_PROTOCOL))
        return Fault.method
      this.isWebSocket = true
    } else if (isConnect) return Fault.method
    if ((said & PATH) === 0 || (said & SCHEME) === 0) return MALFORMED
    const pathStart = this.#start(PATH_AT)
    const pathEnd = this.#end(PATH_AT)
    const isAsterisk = pathEnd - pathStart === 1 && bytes[pathStart] === 42
    if (bytes[pathStart] !== 47 && !isAsterisk) return Fault.startLine
    for (let at = pathStart; at < pathEnd; at += 1)
      if (TARGET[bytes[at] as number] === 0) return Fault.startLine
    const out = this.#out
    if (this.isWebSocket) out.piece(GET)
    else out.copy(bytes, methodStart, methodEnd)
    out.bytes[out.at] = 32
    out.at += 1
    out.copy(bytes, pathStart, pathEnd)
    if ((said & AUTHORITY_SAID) === 0) {
      out.piece(VERSION_END)
      return 0
    }
    out.piece(HTTP_11)
    const start = this.#start(AUTHORITY_AT)
    const end = this.#end(AUTHORITY_AT)
    for (let at = start; at < end; at += 1)
      if (AUTHORITY[bytes[at] as number] === 0) return Fault.host
    out.copy(bytes, start, end)
    out.lineEnd()
    return 0
  }

  #start(index: number): number {
    return this.#pseudoEnds[index * 2] as number
  }
  #end(index: number): number {
    return this.#pseudoEnds[index * 2 + 1] as number
  }

  #isAuthority(value: Uint8Array, start: number, end: number): boolean {
    const authority = latin1(this.#pseudo.bytes, this.#start(AUTHORITY_AT), this.#end(AUTHORITY_AT))
    return isText(value, start, end, authority.toLowerCase())
  }

  /** The last field was told. @param hasBody its end has not come. @param webSocketKey of an upgrade */
  end(hasBody: boolean, webSocketKey: () => string): void {
    if (this.result === 0 && !this.#hasStartLine) this.result = this.#startLine()
    if (this.isWebSocket && this.#hasLength) this.result = MALFORMED
    if (this.result !== 0) return
    const out = this.#out
    if (this.#cookies.at > 0) {
      out.piece(COOKIE)
      out.copy(this.#cookies.bytes, 0, this.#cookies.at)
      out.lineEnd()
    }
    if (this.isWebSocket) {
      out.piece(WEBSOCKET)
      out.text(webSocketKey())
      out.lineEnd()
    } else if (hasBody && !this.#hasLength && !this.#isTrailer) out.piece(CHUNKED)
    out.lineEnd()
  }

  /** The last field of a trailer section was told. @returns a copy of what of it is handed on, if anything is */
  endTrailer(): Buffer | undefined {
    this.end(false, NO_KEY)
    const cleaned = cleanTrailer(this.bytes.subarray(0, this.length))
    return Buffer.isBuffer(cleaned) ? cleaned : undefined
  }
}

const NO_KEY = () => '' // a trailer upgrades nothing
const TRAILERS = Buffer.from('trailers')
const CONTENT_TYPE = Buffer.from('content-type')
const GRPC = Buffer.from('application/grpc')
const CONNECT = Buffer.from('CONNECT')
const GET = Buffer.from('GET')
const WEBSOCKET_PROTOCOL = Buffer.from('websocket')

const startsWith = (bytes: Uint8Array, start: number, end: number, text: Buffer): boolean =>
  end - start >= text.length && isSame(bytes, start, start + text.length, text)

function isSame(bytes: Uint8Array, start: number, end: number, text: Buffer): boolean {
  if (end - start !== text.length) return false
  for (let at = 0; at < text.length; at += 1) if (bytes[start + at] !== text[at]) return false
  return true
}
