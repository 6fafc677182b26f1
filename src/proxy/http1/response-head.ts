import { Fault } from './fault.ts'
import {
  ConnectionOption,
  FieldLines,
  isText,
  latin1,
  parseFieldLines,
  parseLength,
  readConnection,
} from './field-lines.ts'
import { Field } from './field-name.ts'
import { CR, couldBegin, FIELD_VALUE, LF, SP } from './octets.ts'

/** How the end of a message's body is found. Source: RFC 9112, section 6.3. */
export const Framing = { none: 0, length: 1, chunked: 2, close: 3 } as const
export type Framing = (typeof Framing)[keyof typeof Framing]

const NO_FIELDS: ResponseHead['added'] = []

/** The head of one response: offsets into its bytes. Reused; what it says holds until the next parse. */
export class ResponseHead {
  bytes: Uint8Array = new Uint8Array(0)
  readonly lines = new FieldLines()
  status = 0
  reasonStart = 0
  reasonEnd = 0
  isHttp10 = false
  framing: Framing = Framing.none
  /** -1: none was sent. A response to HEAD has one and no body. */
  contentLength = -1
  /** The machine keeps the connection. */
  isPersistent = true
  upgradeLine = -1
  hasConnectionUpgrade = false
  serverLine = -1
  viaLine = -1
  hasDate = false
  /** Some fly-replay field is there: only then is the router's question more than a glance. */
  hasReplay = false
  /** Fields that the proxy says beside those of `lines`. */
  added: readonly (readonly [name: string, value: string])[] = NO_FIELDS

  /** Its Upgrade field names WebSocket. */
  get isToWebSocket(): boolean {
    const { lines, upgradeLine: line } = this
    return (
      line >= 0 && isText(lines.bytes, lines.valueStart(line), lines.valueEnd(line), 'websocket')
    )
  }

  get reason(): string {
    return latin1(this.bytes, this.reasonStart, this.reasonEnd)
  }
}

/**
 * Parses one response head from bytes[start, end). HOT.
 * Source: RFC 9112, sections 4 to 6.
 *
 * @param isHead the request's method was HEAD: there is no body.
 * @returns the offset after the head, 0 when more bytes are needed, or a Fault.
 */
export function parseResponseHead(
  bytes: Uint8Array,
  start: number,
  end: number,
  head: ResponseHead,
  isHead: boolean,
  headBytesMax: number,
): number {
  const fieldsStart = parseStatusLine(bytes, start, end, head)
  const headEnd =
    fieldsStart <= 0 ? fieldsStart : parseFieldLines(bytes, fieldsStart, end, head.lines)
  if (headEnd === 0) return end - start > headBytesMax ? Fault.headTooLarge : 0
  if (headEnd < 0) return headEnd
  if (headEnd - start > headBytesMax) return Fault.headTooLarge
  const fault = readResponseFields(head, isHead)
  return fault < 0 ? fault : headEnd
}

/** 'HTTP/1.1 200 OK' CR LF; the reason may be empty, its space missing. */
function parseStatusLine(
  bytes: Uint8Array,
  start: number,
  end: number,
  head: ResponseHead,
): number {
  if (end - start < 14)
    return couldBegin(bytes, start, end, STATUS_LINE_PREFIX) ? 0 : Fault.startLine
  if (!couldBegin(bytes, start, start + 7, STATUS_LINE_PREFIX)) return Fault.startLine
  const minor = bytes[start + 7] as number
  if (minor !== 48 && minor !== 49) return Fault.version
  if (bytes[start + 8] !== SP) return Fault.startLine
  let status = 0
  for (let at = start + 9; at < start + 12; at += 1) {
    const digit = (bytes[at] as number) - 48
    if (digit < 0 || digit > 9) return Fault.startLine
    status = status * 10 + digit
  }
  if (status < 100) return Fault.startLine
  head.bytes = bytes
  head.status = status
  head.isHttp10 = minor === 48
  let at = start + 12
  if (bytes[at] === SP) at += 1
  else if (bytes[at] !== CR) return Fault.startLine
  head.reasonStart = at
  while (at < end && FIELD_VALUE[bytes[at] as number] === 1) at += 1
  head.reasonEnd = at
  if (at + 1 >= end) return at < end && bytes[at] !== CR ? Fault.startLine : 0
  return bytes[at] === CR && bytes[at + 1] === LF ? at + 2 : Fault.startLine
}

const STATUS_LINE_PREFIX = Buffer.from('HTTP/1.')

function readResponseFields(head: ResponseHead, isHead: boolean): number {
  const { lines } = head
  const { count, fields, dropped } = lines
  head.contentLength = -1
  head.upgradeLine = -1
  head.serverLine = -1
  head.viaLine = -1
  head.hasDate = false
  head.hasReplay = false
  head.added = NO_FIELDS
  let isChunked = false
  let options = 0
  for (let line = 0; line < count; line += 1) {
    const field = fields[line] as number
    switch (field) {
      case Field.other:
        break
      case Field['content-length']: {
        dropped[line] = 1
        const length = parseLength(lines.bytes, lines.valueStart(line), lines.valueEnd(line))
        if (length < 0 || (head.contentLength >= 0 && head.contentLength !== length)) {
          return Fault.contentLength
        }
        head.contentLength = length
        break
      }
      case Field['transfer-encoding']:
        dropped[line] = 1
        if (isChunked || head.isHttp10) return Fault.transferEncoding
        if (!isText(lines.bytes, lines.valueStart(line), lines.valueEnd(line), 'chunked')) {
          return Fault.coding
        }
        isChunked = true
        break
      case Field.connection:
        dropped[line] = 1
        options |= readConnection(lines, line)
        break
      case Field.upgrade:
        dropped[line] = 1
        head.upgradeLine = line
        break
      case Field['keep-alive']:
      case Field['proxy-connection']:
        dropped[line] = 1
        break
      case Field.server:
        head.serverLine = line
        break
      case Field.via:
        head.viaLine = line
        break
      case Field.date:
        head.hasDate = true
        break
      case Field['fly-replay']:
      case Field['fly-replay-cache']:
      case Field['fly-replay-cache-ttl-secs']:
      case Field['fly-replay-cache-allow-bypass']:
        dropped[line] = 1
        head.hasReplay = true
        break
    }
  }
  if (isChunked && head.contentLength >= 0) return Fault.transferEncoding
  head.isPersistent = head.isHttp10
    ? (options & ConnectionOption.keepAlive) !== 0 && (options & ConnectionOption.close) === 0
    : (options & ConnectionOption.close) === 0
  head.hasConnectionUpgrade = (options & ConnectionOption.upgrade) !== 0
  if (isHead || head.status < 200 || head.status === 204 || head.status === 304) {
    head.framing = Framing.none
  } else if (isChunked) head.framing = Framing.chunked
  else if (head.contentLength >= 0) {
    head.framing = head.contentLength === 0 ? Framing.none : Framing.length
  } else {
    head.framing = Framing.close
    head.isPersistent = false
  }
  return 0
}
