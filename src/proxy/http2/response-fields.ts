import { FieldLines, parseFieldLines } from '../http1/field-lines.ts'
import { HeadWriter } from '../http1/head-writer.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import { dropSet, withoutLineEnds, writeList } from '../http1/write-request.ts'
import { dateNow, dropReplaced, type ResponseHop, SERVER_NAME } from '../http1/write-response.ts'
import type { HpackEncoder } from './hpack-encoder.ts'

const STATUS_OK = 200
const SERVER = Buffer.from('server')
const SERVER_VALUE = Buffer.from(SERVER_NAME)
const VIA = Buffer.from('via')
const REQUEST_ID = Buffer.from('fly-request-id')
const DATE = Buffer.from('date')
const CONTENT_LENGTH = Buffer.from('content-length')
const LOCATION = Buffer.from('location')

/** The client of an extended CONNECT has said no key (RFC 8441, section 5). */
const ANSWER_TO_KEY: ReadonlyMap<string, true> = new Map([['sec-websocket-accept', true]])

/** For values that are put together. Shared: it holds during a call. */
const scratch = new HeadWriter(Buffer.alloc(64 << 10))

/** What of the hop matters here: HTTP/2 frames its messages itself. */
export type ResponseNames = Pick<ResponseHop, 'requestId' | 'rules' | 'via'>

/** Writes the block of a response's head, as `writeResponseHead` writes that of HTTP/1.1. HOT. */
export function writeResponseFields(
  encoder: HpackEncoder,
  out: HeadWriter,
  head: ResponseHead,
  hop: ResponseNames,
  isWebSocket: boolean,
): void {
  const { lines, status } = head
  const { rules } = hop
  const isFinal = status >= STATUS_OK || isWebSocket
  const isOurs = !rules.pristine && isFinal
  encoder.begin(out)
  encoder.status(out, isWebSocket ? STATUS_OK : status)
  if (isOurs) dropReplaced(head)
  if (isWebSocket) dropSet(lines, ANSWER_TO_KEY)
  if (rules.headers.size > 0) dropSet(lines, rules.headers)
  writeLines(encoder, out, lines)
  if (isOurs) {
    whole(encoder, out, SERVER, SERVER_VALUE)
    writeVia(encoder, out, head, hop.via)
    whole(encoder, out, REQUEST_ID, hop.requestId)
  }
  if (!isFinal) return
  if (!head.hasDate) whole(encoder, out, DATE, dateNow())
  for (const [name, value] of head.added)
    if (!rules.headers.has(name.toLowerCase())) text(encoder, out, name, value)
  for (const [name, values] of rules.headers) {
    if (values === false) continue
    for (const value of values) text(encoder, out, name, withoutLineEnds(value))
  }
  if (head.contentLength >= 0 && status !== 204 && !isWebSocket) {
    scratch.at = 0
    scratch.number(head.contentLength)
    encoder.field(out, CONTENT_LENGTH, 0, CONTENT_LENGTH.length, scratch.bytes, 0, scratch.at)
  }
}

/** The block of an answer of the proxy's own, which has no body. */
export function writeOwnFields(
  encoder: HpackEncoder,
  out: HeadWriter,
  status: number,
  hop: ResponseNames,
  location: string | undefined,
): void {
  encoder.begin(out)
  encoder.status(out, status)
  whole(encoder, out, SERVER, SERVER_VALUE)
  whole(encoder, out, VIA, hop.via)
  whole(encoder, out, REQUEST_ID, hop.requestId)
  whole(encoder, out, DATE, dateNow())
  if (location !== undefined)
    whole(encoder, out, LOCATION, Buffer.from(withoutLineEnds(location), 'latin1'))
  whole(encoder, out, CONTENT_LENGTH, ZERO)
}
const ZERO = Buffer.from('0')

const trailerLines = new FieldLines()

/** The block of a trailer section. @param section cleaned, with its last empty line */
export function writeTrailerFields(encoder: HpackEncoder, out: HeadWriter, section: Buffer): void {
  encoder.begin(out)
  if (parseFieldLines(section, 0, section.length, trailerLines) === section.length)
    writeLines(encoder, out, trailerLines)
}

function writeLines(encoder: HpackEncoder, out: HeadWriter, lines: FieldLines): void {
  const { bytes, count, dropped, offsets } = lines
  for (let line = 0; line < count; line += 1) {
    if (dropped[line] === 1) continue
    const at = line * 4
    encoder.field(
      out,
      bytes,
      offsets[at] as number,
      offsets[at + 1] as number,
      bytes,
      offsets[at + 2] as number,
      offsets[at + 3] as number,
    )
  }
}

function writeVia(encoder: HpackEncoder, out: HeadWriter, head: ResponseHead, via: Buffer): void {
  if (head.viaLine < 0) {
    whole(encoder, out, VIA, via)
    return
  }
  scratch.at = 0
  writeList(scratch, head.lines, head.viaLine)
  scratch.piece(via)
  encoder.field(out, VIA, 0, VIA.length, scratch.bytes, 0, scratch.at)
}

const whole = (encoder: HpackEncoder, out: HeadWriter, name: Buffer, value: Buffer): void =>
  encoder.field(out, name, 0, name.length, value, 0, value.length)

/** COLD: what apps' rules and the proxy's own decisions add. */
const text = (encoder: HpackEncoder, out: HeadWriter, name: string, value: string): void =>
  whole(encoder, out, Buffer.from(name, 'latin1'), Buffer.from(value, 'latin1'))
