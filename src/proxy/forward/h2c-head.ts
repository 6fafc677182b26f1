import { createHash } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http2'

/** A request as HTTP/2 says it. */
export interface H2Request {
  readonly headers: Record<string, string | string[]>
  /** 0 when none was said. */
  readonly contentLength: number
  readonly isChunked: boolean
  /** It wants to become a WebSocket: its Sec-WebSocket-Key. */
  readonly webSocketKey: string | undefined
}

/** Fields of one connection: HTTP/2 forbids them (RFC 9113, section 8.2.2). */
const OF_CONNECTION = new Set([
  ...['connection', 'transfer-encoding', 'upgrade', 'keep-alive', 'proxy-connection'],
  ...['http2-settings', 'host', 'te'],
])

/** @param text a head that this proxy has written itself, without its empty line */
export function readHead(text: string): H2Request {
  const [start = '', ...lines] = text.split('\r\n')
  const [method = '', path = ''] = start.split(' ')
  const headers: Record<string, string | string[]> = {
    ':method': method,
    ':path': path,
    ':scheme': 'http',
    te: 'trailers', // the exchange takes them, and gRPC insists on it
  }
  let contentLength = 0
  let isChunked = false
  let isWebSocket = false
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    if (name === 'host') headers[':authority'] = value
    if (name === 'transfer-encoding') isChunked = true
    if (name === 'upgrade') isWebSocket = value.toLowerCase() === 'websocket'
    if (name === 'content-length') contentLength = Number(value)
    if (OF_CONNECTION.has(name)) continue
    const before = headers[name]
    // Node takes several lines of a name as a list, but for a few that it takes once; all join the same way.
    headers[name] =
      before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`
  }
  const key = headers['sec-websocket-key']
  const webSocketKey = isWebSocket ? String(key ?? '') : undefined
  return { headers, contentLength, isChunked, webSocketKey }
}

/** The same request as an extended CONNECT. Source: RFC 8441, section 5. */
export function webSocketHeaders(headers: H2Request['headers']): H2Request['headers'] {
  const { 'sec-websocket-key': _key, te: _te, ...others } = headers
  return { ...others, ':method': 'CONNECT', ':protocol': 'websocket' }
}

const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** The head that a server of HTTP/1.1 would have answered. Source: RFC 6455, section 4.2.2. */
export function webSocketAnswer(headers: IncomingHttpHeaders, key: string): Buffer {
  const { 'sec-websocket-accept': _accept, ...others } = headers
  const accept = createHash('sha1').update(`${key}${WEBSOCKET_GUID}`).digest('base64')
  const own = line('connection', 'Upgrade') + line('upgrade', 'websocket')
  const text = `${own}${line('sec-websocket-accept', accept)}${fieldLines(others)}`
  return Buffer.from(`HTTP/1.1 101 Switching Protocols\r\n${text}\r\n`, 'latin1')
}

const line = (name: string, value: string) => `${name}: ${value}\r\n`

function fieldLines(headers: IncomingHttpHeaders): string {
  let text = ''
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(':') || OF_CONNECTION.has(name) || value === undefined) continue
    for (const one of [value].flat()) text += line(name, one)
  }
  return text
}

/** A response's head as HTTP/1.1 has it. @param isWhole nothing follows it */
export function responseText(
  headers: IncomingHttpHeaders & { ':status'?: number | undefined },
  isWhole: boolean,
  isHead: boolean,
): { readonly text: Buffer; readonly isChunked: boolean } {
  const status = headers[':status'] ?? 502
  const isFinal = status >= 200
  const hasLength = headers['content-length'] !== undefined
  const isBodiless = isHead || !isFinal || status === 204 || status === 304
  const isChunked = !isBodiless && !hasLength && !isWhole
  const framing = isChunked
    ? line('transfer-encoding', 'chunked')
    : isBodiless || hasLength
      ? ''
      : line('content-length', '0')
  const text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Other'}\r\n${fieldLines(headers)}${framing}\r\n`
  return { text: Buffer.from(text, 'latin1'), isChunked }
}

const LINE_END = Buffer.from('\r\n')

export const chunkOf = (data: Buffer): Buffer =>
  data.length === 0
    ? data // an empty chunk would be the last
    : Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, LINE_END])

export const lastChunk = (trailers: IncomingHttpHeaders | undefined): Buffer =>
  Buffer.from(`0\r\n${trailers === undefined ? '' : fieldLines(trailers)}\r\n`, 'latin1')
