import type { ResponseRules } from '../route.ts'
import { Field } from './field-name.ts'
import type { HeadWriter } from './head-writer.ts'
import type { ResponseHead } from './response-head.ts'
import { Framing } from './response-head.ts'
import { copyKept, dropSet, withoutLineEnds, writeList } from './write-request.ts'

/** How this response reaches this client. */
export interface ResponseHop {
  /** What the client is told of its body's end; `close` also when it is HTTP/1.0. */
  framing: Framing
  /** The connection ends after it. */
  closes: boolean
  /** An HTTP/1.0 client that asked to keep the connection is told that it is. */
  isHttp10: boolean
  requestId: Buffer
  rules: ResponseRules
  /** The Via entry of this hop. */
  via: Buffer
}

/** A head never grows by more than this plus what `ResponseRules.headers` add. */
export const RESPONSE_GROWTH_BYTES_MAX = 1 << 10

export const SERVER_NAME = 'Godwit/0.1'

const HTTP_11 = Buffer.from('HTTP/1.1 ')
const SERVER = Buffer.from(`Server: ${SERVER_NAME}\r\n`)
const VIA = Buffer.from('Via: ')
const REQUEST_ID = Buffer.from('Fly-Request-Id: ')
const CONTENT_LENGTH = Buffer.from('Content-Length: ')
const CHUNKED = Buffer.from('Transfer-Encoding: chunked\r\n')
const CLOSE = Buffer.from('Connection: close\r\n')
const KEEP_ALIVE = Buffer.from('Connection: keep-alive\r\n')
const UPGRADE = Buffer.from('Connection: Upgrade\r\nUpgrade: ')
const DATE = Buffer.from('Date: ')

/** Writes the head that the client gets. HOT. Framing is written anew. */
export function writeResponseHead(out: HeadWriter, head: ResponseHead, hop: ResponseHop): void {
  const { lines } = head
  const { rules } = hop
  out.piece(HTTP_11)
  out.number(head.status)
  out.bytes[out.at] = 32
  out.at += 1
  out.copy(head.bytes, head.reasonStart, head.reasonEnd)
  out.lineEnd()
  const isOurs = !rules.pristine && head.status >= 200
  if (isOurs) dropReplaced(head)
  if (rules.headers.size > 0) dropSet(lines, rules.headers)
  copyKept(out, lines)
  if (isOurs) writeOwn(out, head, hop)
  if (!head.hasDate && head.status >= 200) {
    out.piece(DATE)
    out.piece(dateNow())
    out.lineEnd()
  }
  if (head.added.length > 0) writeAdded(out, head, rules)
  if (rules.headers.size > 0 && head.status >= 200) writeRules(out, rules)
  writeResponseFraming(out, head, hop)
  out.lineEnd()
}

/** Drops the fields that the proxy says itself. */
export function dropReplaced({ lines, serverLine, viaLine }: ResponseHead): void {
  if (serverLine < 0 && viaLine < 0) {
    dropField(lines, Field['fly-request-id'])
    return
  }
  dropField(lines, Field.server)
  dropField(lines, Field.via)
  dropField(lines, Field['fly-request-id'])
}

function dropField(lines: ResponseHead['lines'], field: number): void {
  for (let line = 0; line < lines.count; line += 1) {
    if (lines.fields[line] === field) lines.dropped[line] = 1
  }
}

function writeOwn(out: HeadWriter, head: ResponseHead, hop: ResponseHop): void {
  out.piece(SERVER)
  out.piece(VIA)
  if (head.viaLine >= 0) writeList(out, head.lines, head.viaLine)
  out.piece(hop.via)
  out.lineEnd()
  out.piece(REQUEST_ID)
  out.piece(hop.requestId)
  out.lineEnd()
}

/** What the app's rules say of a field wins. */
function writeAdded(out: HeadWriter, { added }: ResponseHead, rules: ResponseRules): void {
  for (const [name, value] of added)
    if (!rules.headers.has(name.toLowerCase())) out.text(`${name}: ${value}\r\n`)
}

function writeRules(out: HeadWriter, rules: ResponseRules): void {
  for (const [name, values] of rules.headers) {
    if (values === false) continue
    for (const value of values) out.text(`${name}: ${withoutLineEnds(value)}\r\n`)
  }
}

function writeResponseFraming(out: HeadWriter, head: ResponseHead, hop: ResponseHop): void {
  if (head.status === 101) {
    out.piece(UPGRADE)
    if (head.upgradeLine >= 0) {
      out.copy(
        head.bytes,
        head.lines.valueStart(head.upgradeLine),
        head.lines.valueEnd(head.upgradeLine),
      )
    }
    out.lineEnd()
    return
  }
  if (head.status < 200) return
  if (hop.framing === Framing.chunked) out.piece(CHUNKED)
  else if (head.contentLength >= 0 && head.status !== 204) {
    out.piece(CONTENT_LENGTH)
    out.number(head.contentLength)
    out.lineEnd()
  }
  if (hop.closes) out.piece(CLOSE)
  else if (hop.isHttp10) out.piece(KEEP_ALIVE)
}

let dateSecond = -1
let dateText = Buffer.alloc(0)

/** The HTTP date of now (RFC 9110, section 5.6.7), made once a second. */
export function dateNow(): Buffer {
  const second = Math.floor(Date.now() / 1000)
  if (second !== dateSecond) {
    dateSecond = second
    dateText = Buffer.from(new Date(second * 1000).toUTCString())
  }
  return dateText
}

const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  301: 'Moved Permanently',
  302: 'Found',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
}

/** A whole response of the proxy's own. */
export function ownResponse(
  status: number,
  options: { closes: boolean; requestId: Buffer; via: Buffer; location?: string; body?: string },
): Buffer {
  const lines = [
    `HTTP/1.1 ${status} ${REASONS[status] ?? 'Error'}`,
    `Server: ${SERVER_NAME}`,
    `Via: ${options.via.toString('latin1')}`,
    ...(options.requestId.length === 0
      ? []
      : [`Fly-Request-Id: ${options.requestId.toString('latin1')}`]),
    `Date: ${dateNow().toString('latin1')}`,
    ...(options.location === undefined ? [] : [`Location: ${withoutLineEnds(options.location)}`]),
    ...(options.body === undefined ? [] : ['Content-Type: application/octet-stream']),
    `Content-Length: ${Buffer.byteLength(options.body ?? '', 'latin1')}`,
    ...(options.closes ? ['Connection: close'] : []),
  ]
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${options.body ?? ''}`, 'latin1')
}
