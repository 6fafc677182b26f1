import type { FieldLines } from './field-lines.ts'
import { latin1 } from './field-lines.ts'
import type { HeadWriter } from './head-writer.ts'
import type { RequestHead } from './request-head.ts'

/** What one hop adds to each request of a connection. Made once per connection. */
export interface RequestHop {
  /** The lines that are the same for every request, each with its CR LF. */
  readonly lines: Buffer
  /** 'client, anycast': appended to X-Forwarded-For. */
  readonly forwardedFor: Buffer
  /** 'port': sent as X-Forwarded-Port unless the client did. */
  readonly forwardedPort: Buffer
  /** The Via entry of this hop. */
  readonly via: Buffer
  /** What Host says when the client sent none (HTTP/1.0). */
  readonly hostWithout: Buffer
}

/** What changes from request to request. */
export interface RequestExtras {
  readonly requestId: Buffer
  /** Microseconds since 1970. */
  readonly startUs: number
  /** Set (or, with false, removed) instead of what the client sent. */
  readonly headers: ReadonlyMap<string, string | false> | undefined
  /** Path and query instead of the client's. */
  readonly target: string | undefined
}

/** A head never grows by more than this plus what `RequestExtras.headers` add. */
export const REQUEST_GROWTH_BYTES_MAX = 4 << 10

const HTTP_11 = Buffer.from(' HTTP/1.1\r\nHost: ')
const FORWARDED_FOR = Buffer.from('X-Forwarded-For: ')
const FORWARDED_PORT = Buffer.from('X-Forwarded-Port: ')
const VIA = Buffer.from('Via: ')
const COMMA = Buffer.from(', ')
const REQUEST_ID = Buffer.from('Fly-Request-Id: ')
const REQUEST_START = Buffer.from('X-Request-Start: t=')
const CONTENT_LENGTH = Buffer.from('Content-Length: ')
const CHUNKED = Buffer.from('Transfer-Encoding: chunked\r\n')
const UPGRADE = Buffer.from('Connection: Upgrade\r\nUpgrade: ')
const EXPECT = Buffer.from('Expect: 100-continue\r\n')
const TE = Buffer.from('TE: trailers\r\nConnection: TE\r\n')

/**
 * Writes the head that the machine gets. HOT: the lines that travel as they came are copied in runs.
 * Framing fields and Host are written anew: no second reading of them leaves the proxy.
 */
export function writeRequestHead(
  out: HeadWriter,
  head: RequestHead,
  hop: RequestHop,
  extras: RequestExtras,
): void {
  out.copy(head.bytes, head.methodStart, head.methodEnd)
  out.bytes[out.at] = 32
  out.at += 1
  if (extras.target !== undefined) out.text(extras.target)
  else if (head.isPathMissing) out.text(head.target)
  else out.copy(head.bytes, head.targetStart, head.targetEnd)
  out.piece(HTTP_11)
  if (head.authorityEnd > head.authorityStart) {
    out.copy(head.bytes, head.authorityStart, head.authorityEnd)
  } else out.piece(hop.hostWithout)
  out.lineEnd()
  if (extras.headers !== undefined) dropSet(head.lines, extras.headers)
  copyKept(out, head.lines)
  writeForwarding(out, head, hop)
  out.piece(REQUEST_ID)
  out.piece(extras.requestId)
  out.lineEnd()
  out.piece(REQUEST_START)
  out.number(extras.startUs)
  out.lineEnd()
  if (extras.headers !== undefined) writeSet(out, extras.headers)
  writeRequestFraming(out, head)
  out.lineEnd()
}

function writeForwarding(out: HeadWriter, head: RequestHead, hop: RequestHop): void {
  const { lines } = head
  out.piece(hop.lines)
  out.piece(FORWARDED_FOR)
  if (head.forwardedForLine >= 0) writeList(out, lines, head.forwardedForLine)
  out.piece(hop.forwardedFor)
  out.lineEnd()
  if (!head.hasForwardedPort) {
    out.piece(FORWARDED_PORT)
    out.piece(hop.forwardedPort)
    out.lineEnd()
  }
  out.piece(VIA)
  if (head.viaLine >= 0) writeList(out, lines, head.viaLine)
  out.piece(hop.via)
  out.lineEnd()
}

/** The values of all lines of the same field as `last`, which is the last of them, each with ', '. */
export function writeList(out: HeadWriter, lines: FieldLines, last: number): void {
  const field = lines.fields[last] as number
  for (let line = 0; line <= last; line += 1) {
    if (lines.fields[line] !== field) continue
    const start = lines.valueStart(line)
    const end = lines.valueEnd(line)
    if (start === end) continue
    out.copy(lines.bytes, start, end)
    out.piece(COMMA)
  }
}

function writeRequestFraming(out: HeadWriter, head: RequestHead): void {
  if (head.isChunked) out.piece(CHUNKED)
  else if (head.contentLength >= 0) {
    out.piece(CONTENT_LENGTH)
    out.number(head.contentLength)
    out.lineEnd()
  }
  if (head.expectsContinue) out.piece(EXPECT)
  if (head.isUpgrade) {
    out.piece(UPGRADE)
    out.copy(
      head.bytes,
      head.lines.valueStart(head.upgradeLine),
      head.lines.valueEnd(head.upgradeLine),
    )
    out.lineEnd()
  } else if (head.takesTrailers) out.piece(TE)
}

/** Copies the lines that were not dropped, neighbours at once. */
export function copyKept(out: HeadWriter, lines: FieldLines): void {
  const { count, dropped } = lines
  let line = 0
  while (line < count) {
    if (dropped[line] === 1) {
      line += 1
      continue
    }
    const first = line
    while (line < count && dropped[line] === 0) line += 1
    out.copy(lines.bytes, lines.nameStart(first), lines.lineEnd(line - 1))
  }
}

/** Drops the lines whose names are in `set`. COLD. */
export function dropSet(lines: FieldLines, set: ReadonlyMap<string, unknown>): void {
  for (let line = 0; line < lines.count; line += 1) {
    const name = latin1(lines.bytes, lines.nameStart(line), lines.nameEnd(line)).toLowerCase()
    if (set.has(name)) lines.dropped[line] = 1
  }
}

function writeSet(out: HeadWriter, set: ReadonlyMap<string, string | false>): void {
  for (const [name, value] of set) {
    if (value === false) continue
    out.text(`${name}: ${withoutLineEnds(value)}\r\n`)
  }
}

/** No header value, wherever it came from, may start a line. */
export const withoutLineEnds = (value: string): string => value.replace(/[\r\n\0]/g, ' ')
