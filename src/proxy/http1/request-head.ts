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
import { AUTHORITY, CR, couldBegin, LF, SP, TARGET, TOKEN } from './octets.ts'

export interface HeadLimits {
  /** Start line and fields together. @default 32768 */
  readonly headBytesMax: number
  /** @default 8192 */
  readonly targetBytesMax: number
}

export const defaultHeadLimits: HeadLimits = { headBytesMax: 32 << 10, targetBytesMax: 8 << 10 }

const METHOD_BYTES_MAX = 32

/** The head of one request: offsets into its bytes. Reused; what it says holds until the next parse. */
export class RequestHead {
  bytes: Uint8Array = new Uint8Array(0)
  readonly lines = new FieldLines()
  methodStart = 0
  methodEnd = 0
  /** Path and query: what goes to the machine. For absolute-form, without scheme and authority. */
  targetStart = 0
  targetEnd = 0
  /** The host and port that count: the target's in absolute-form, else Host's. start === end: none. */
  authorityStart = 0
  authorityEnd = 0
  /** An absolute-form target without a path: `/` is what is meant (`*` for OPTIONS). */
  isPathMissing = false
  isHttp10 = false
  isHead = false
  isIdempotent = false
  /** -1: none was sent. */
  contentLength = -1
  isChunked = false
  /** The client wants the connection kept. */
  isPersistent = true
  /** Upgrade and Connection: upgrade were both sent, in HTTP/1.1. */
  isUpgrade = false
  upgradeLine = -1
  expectsContinue = false
  /** `TE: trailers`: response trailers may be sent. */
  takesTrailers = false
  forwardedForLine = -1
  viaLine = -1
  hasForwardedPort = false

  get method(): string {
    return latin1(this.bytes, this.methodStart, this.methodEnd)
  }
  get target(): string {
    if (this.isPathMissing) {
      const query = latin1(this.bytes, this.targetStart, this.targetEnd)
      return query === '' && this.method === 'OPTIONS' ? '*' : `/${query}`
    }
    return latin1(this.bytes, this.targetStart, this.targetEnd)
  }
  get authority(): string {
    return latin1(this.bytes, this.authorityStart, this.authorityEnd)
  }
  /** The authority without its port, lower case. */
  get host(): string {
    const text = this.authority.toLowerCase()
    const colon = text.lastIndexOf(':')
    return colon < 0 || text.endsWith(']') ? text : text.slice(0, colon)
  }
  get hasBody(): boolean {
    return this.isChunked || this.contentLength > 0
  }
}

/**
 * Parses one request head from bytes[start, end). HOT: no allocation for a request without surprises.
 * Source: RFC 9112, sections 3, 5 and 6. Refuses whatever two implementations might read differently.
 *
 * @returns the offset after the head, 0 when more bytes are needed, or a Fault.
 */
export function parseRequestHead(
  bytes: Uint8Array,
  start: number,
  end: number,
  head: RequestHead,
  limits: HeadLimits = defaultHeadLimits,
): number {
  let from = start
  if (bytes[from] === CR) {
    // one empty line before the request is forgiven (section 2.2)
    if (from + 1 >= end) return 0
    if (bytes[from + 1] !== LF) return Fault.startLine
    from += 2
  }
  head.bytes = bytes
  const fieldsStart = parseRequestLine(bytes, from, end, head, limits)
  if (fieldsStart <= 0) {
    return fieldsStart === 0 && end - start > limits.headBytesMax ? Fault.headTooLarge : fieldsStart
  }
  const headEnd = parseFieldLines(bytes, fieldsStart, end, head.lines)
  if (headEnd === 0) return end - start > limits.headBytesMax ? Fault.headTooLarge : 0
  if (headEnd < 0) return headEnd
  if (headEnd - start > limits.headBytesMax) return Fault.headTooLarge
  const fault = readRequestFields(head)
  return fault < 0 ? fault : headEnd
}

/** @returns the offset after the line, 0 or a Fault. */
function parseRequestLine(
  bytes: Uint8Array,
  start: number,
  end: number,
  head: RequestHead,
  limits: HeadLimits,
): number {
  let at = start
  while (at < end && TOKEN[bytes[at] as number] === 1) at += 1
  if (at - start > METHOD_BYTES_MAX) return Fault.startLine
  if (at === end) return 0
  if (bytes[at] !== SP || at === start) return Fault.startLine
  head.methodStart = start
  head.methodEnd = at
  at += 1
  const targetStart = at
  while (at < end && TARGET[bytes[at] as number] === 1) at += 1
  if (at - targetStart > limits.targetBytesMax) return Fault.targetTooLong
  if (at === end) return 0
  if (bytes[at] !== SP || at === targetStart) return Fault.startLine
  head.targetStart = targetStart
  head.targetEnd = at
  at += 1
  // 'HTTP/1.1' CR LF
  if (end - at < 10) return couldBegin(bytes, at, end, VERSION_PREFIX) ? 0 : Fault.startLine
  if (!couldBegin(bytes, at, at + 5, VERSION_PREFIX)) return Fault.startLine
  const major = bytes[at + 5] as number
  const minor = bytes[at + 7] as number
  if (bytes[at + 6] !== 46 || !isDigit(major) || !isDigit(minor)) return Fault.startLine
  if (bytes[at + 8] !== CR || bytes[at + 9] !== LF) return Fault.startLine
  if (major !== 49 || (minor !== 48 && minor !== 49)) return Fault.version
  head.isHttp10 = minor === 48
  const fault = readMethodAndTarget(bytes, head)
  return fault < 0 ? fault : at + 10
}

const isDigit = (octet: number): boolean => octet >= 48 && octet <= 57

const VERSION_PREFIX = Buffer.from('HTTP/')

function readMethodAndTarget(bytes: Uint8Array, head: RequestHead): number {
  const length = head.methodEnd - head.methodStart
  const first = bytes[head.methodStart] as number
  head.isHead = length === 4 && first === 72 && head.method === 'HEAD'
  // The common one without a string: GET.
  head.isIdempotent = length === 3 && first === 71 ? true : IDEMPOTENT.has(head.method)
  head.authorityStart = 0
  head.authorityEnd = 0
  head.isPathMissing = false
  if (bytes[head.targetStart] === 47) return 0
  return readUnusualTarget(bytes, head)
}

/** Source: RFC 9110, section 9.2.2. */
const IDEMPOTENT: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'PUT',
  'DELETE',
  'TRACE',
])

/** `*` and absolute-form (RFC 9112, sections 3.2.2 and 3.2.4). */
function readUnusualTarget(bytes: Uint8Array, head: RequestHead): number {
  const { method } = head
  if (method === 'CONNECT') return Fault.method
  const target = latin1(bytes, head.targetStart, head.targetEnd)
  if (target === '*') return method === 'OPTIONS' ? 0 : Fault.startLine
  const match = /^https?:\/\/([^/?]+)/i.exec(target)
  const authority = match?.[1]
  if (match === null || authority === undefined || !isAuthority(authority)) return Fault.startLine
  head.authorityEnd = head.targetStart + match[0].length
  head.authorityStart = head.authorityEnd - authority.length
  head.targetStart = head.authorityEnd
  head.isPathMissing = bytes[head.targetStart] !== 47
  if (head.targetStart === head.targetEnd) head.isPathMissing = true
  return 0
}

const AUTHORITY_PATTERN = /^(?:\[[0-9a-f:.]+\]|[a-z0-9._~%!$&'()*+;=-]+)(?::\d{0,5})?$/i
const isAuthority = (text: string): boolean => AUTHORITY_PATTERN.test(text)

/** Acts on the fields that decide framing and routing; marks those that are not sent on. */
function readRequestFields(head: RequestHead): number {
  const { lines } = head
  head.contentLength = -1
  head.isChunked = false
  head.isUpgrade = false
  head.upgradeLine = -1
  head.expectsContinue = false
  head.takesTrailers = false
  head.forwardedForLine = -1
  head.viaLine = -1
  head.hasForwardedPort = false
  let hostLine = -1
  let options = 0
  const { count, fields, dropped } = lines
  for (let line = 0; line < count; line += 1) {
    const field = fields[line] as number
    if (field === Field.other) continue
    if (field !== Field['x-forwarded-port'] && !passesRequest(field)) dropped[line] = 1
    switch (field) {
      case Field.host:
        if (hostLine >= 0) return Fault.host
        hostLine = line
        break
      case Field['content-length']:
        if (head.contentLength >= 0) return Fault.contentLength
        head.contentLength = parseLength(lines.bytes, lines.valueStart(line), lines.valueEnd(line))
        if (head.contentLength < 0) return Fault.contentLength
        break
      case Field['transfer-encoding']:
        if (head.isChunked || head.isHttp10) return Fault.transferEncoding
        if (!isText(lines.bytes, lines.valueStart(line), lines.valueEnd(line), 'chunked')) {
          return Fault.coding
        }
        head.isChunked = true
        break
      case Field.connection:
        options |= readConnection(lines, line)
        break
      case Field.upgrade:
        head.upgradeLine = line
        break
      case Field.expect:
        if (!isText(lines.bytes, lines.valueStart(line), lines.valueEnd(line), '100-continue')) {
          return Fault.expectation
        }
        head.expectsContinue = !head.isHttp10
        break
      case Field.te:
        head.takesTrailers = /(^|,)\s*trailers\s*(,|$)/i.test(lines.value(line))
        break
      case Field['x-forwarded-for']:
        head.forwardedForLine = line
        break
      case Field.via:
        head.viaLine = line
        break
      case Field['x-forwarded-port']:
        head.hasForwardedPort = true
        break
    }
  }
  if (head.isChunked && head.contentLength >= 0) return Fault.transferEncoding
  head.isPersistent = head.isHttp10
    ? (options & ConnectionOption.keepAlive) !== 0 && (options & ConnectionOption.close) === 0
    : (options & ConnectionOption.close) === 0
  head.isUpgrade =
    head.upgradeLine >= 0 && (options & ConnectionOption.upgrade) !== 0 && !head.isHttp10
  return readHost(head, hostLine)
}

/** Fields that the proxy acts on and that still travel as they came. */
const passesRequest = (field: number): boolean =>
  field === Field.trailer ||
  field === Field.date ||
  field === Field.server ||
  (field >= Field['fly-replay'] && field <= Field['fly-replay-cache-allow-bypass'])

function readHost(head: RequestHead, line: number): number {
  if (line < 0) return head.isHttp10 ? 0 : Fault.host
  const { lines } = head
  const start = lines.valueStart(line)
  const end = lines.valueEnd(line)
  if (start === end && head.authorityEnd === 0) return head.isHttp10 ? 0 : Fault.host
  let isPlain = true // a name with an optional port: no regular expression for it
  let colonAt = -1
  for (let at = start; at < end; at += 1) {
    const octet = lines.bytes[at] as number
    if (AUTHORITY[octet] === 0) return Fault.host
    if (octet === 58) {
      if (colonAt >= 0) isPlain = false
      colonAt = at
    } else if (octet === 91 || (colonAt >= 0 && !isDigit(octet))) isPlain = false
  }
  if (colonAt === start || (colonAt >= 0 && end - colonAt > 6)) isPlain = false
  if (!isPlain && !isAuthority(latin1(lines.bytes, start, end))) return Fault.host
  if (head.authorityEnd !== 0) return 0 // the target's own authority wins
  head.authorityStart = start
  head.authorityEnd = end
  return 0
}
