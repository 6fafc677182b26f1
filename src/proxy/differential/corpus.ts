import type { Random } from '#base'

/**
 * Requests that two implementations might read differently. Made from RFC 9112 (sections 2.2, 3, 5, 6, 7, 11.2)
 * and what is publicly known of request smuggling: CL.TE, TE.CL, TE.TE, CL.0, bare line ends, chunk tricks.
 */

const INNER = 'GET /smuggled HTTP/1.1\r\nHost: h\r\nX-Smuggled: 1\r\n\r\n'
const HELLO_CHUNKS = '5\r\nhello\r\n0\r\n\r\n'

/** Spellings of one length field; each is a whole line or more, with its line end. */
export const lengthLines: readonly string[] = [
  '',
  'Content-Length: 5\r\n',
  'Content-Length: 0\r\n',
  'content-length:5\r\n',
  'Content-Length: +5\r\n',
  'Content-Length: -5\r\n',
  'Content-Length: 05\r\n',
  'Content-Length: 5 \r\n',
  'Content-Length:\t5\r\n',
  'Content-Length: 5,5\r\n',
  'Content-Length: 5, 6\r\n',
  'Content-Length: 0x5\r\n',
  'Content-Length: 5e0\r\n',
  'Content-Length: 5.0\r\n',
  'Content-Length: 5\r\nContent-Length: 5\r\n',
  'Content-Length: 5\r\nContent-Length: 0\r\n',
  'Content-Length: 0\r\nContent-Length: 5\r\n',
  'Content-Length : 5\r\n',
  ' Content-Length: 5\r\n',
  'Content_Length: 5\r\n',
  'Content-Length: 5\n',
  'Content-Length\r\n: 5\r\n',
  'Content-Length: \r\n 5\r\n',
  'Content-Length: 5;\r\n',
  'Content-Length: "5"\r\n',
  'Content-Length: ５\r\n',
  'Content-Length: 99999999999999999999\r\n',
  'Content-Length: 18446744073709551621\r\n',
  'Content-Length:\r\n',
  'X: y\nContent-Length: 5\r\n',
  'X: y\rContent-Length: 5\r\n',
  'Content-Length\0: 5\r\n',
  'Content-Length: 5\0\r\n',
  'Content-Length: 5 5\r\n',
  'Content-Length: 45\r\n',
]

/** Spellings of chunked. */
export const codingLines: readonly string[] = [
  '',
  'Transfer-Encoding: chunked\r\n',
  'transfer-encoding: CHUNKED\r\n',
  'Transfer-Encoding:chunked\r\n',
  'Transfer-Encoding : chunked\r\n',
  ' Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: \tchunked\t\r\n',
  'Transfer-Encoding: chunked, identity\r\n',
  'Transfer-Encoding: identity, chunked\r\n',
  'Transfer-Encoding: identity\r\n',
  'Transfer-Encoding: xchunked\r\n',
  'Transfer-Encoding: chunkedx\r\n',
  'Transfer-Encoding: chunked;q=1\r\n',
  'Transfer-Encoding: "chunked"\r\n',
  "Transfer-Encoding: 'chunked'\r\n",
  'Transfer-Encoding: gzip, chunked\r\n',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n',
  'Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n',
  'Transfer-Encoding: \x0bchunked\r\n',
  'Transfer-Encoding: \x0cchunked\r\n',
  'Transfer-Encoding: chunked\x0b\r\n',
  'Transfer-Encoding:\r\n chunked\r\n',
  'Transfer-Encoding: \r\n\tchunked\r\n',
  'X: y\r\n Transfer-Encoding: chunked\r\n',
  'X: y\nTransfer-Encoding: chunked\r\n',
  'X: y\rTransfer-Encoding: chunked\r\n',
  'Transfer-Encoding: chunked\n',
  'Transfer_Encoding: chunked\r\n',
  'Transfer-Encoding\0: chunked\r\n',
  'Transfer-Encoding: chun\0ked\r\n',
  'Transfer-Encoding\t: chunked\r\n',
  'Transfer-Encoding: chunked,\r\n',
  'Transfer-Encoding: ,chunked\r\n',
  'Transfer-Encoding: cow\r\n',
  'Transfer-Encoding: \r\n',
  'Transfer-Encoding: chun\xadked\r\n',
  'Transfer-Encoding: \xa0chunked\r\n',
  'Foo: bar\r\n\rTransfer-Encoding: chunked\r\n',
  'Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n',
]

const startLines: readonly string[] = [
  'POST /a HTTP/1.1\r\n',
  'GET /a HTTP/1.1\r\n',
  'POST /a HTTP/1.0\r\n',
  'POST http://h/a HTTP/1.1\r\n',
  'POST  /a HTTP/1.1\r\n',
  'POST /a HTTP/1.1 \r\n',
  'POST /a HTTP/1.1\n',
  'POST\t/a HTTP/1.1\r\n',
  'POST /a\tHTTP/1.1\r\n',
  '\r\nPOST /a HTTP/1.1\r\n',
  '\r\n\r\n\r\nPOST /a HTTP/1.1\r\n',
  ' POST /a HTTP/1.1\r\n',
  'POST /a HTTP/1.2\r\n',
  'POST /a HTTP/2.0\r\n',
  'POST /a HTTP/11.1\r\n',
  'POST /a HTTP/1.01\r\n',
  'POST /a http/1.1\r\n',
  'POST /a HTTP/1,1\r\n',
  'POST /a\r\n',
  'GET /a?\xff HTTP/1.1\r\n',
  'GET /a#b HTTP/1.1\r\n',
  'GET /a\0b HTTP/1.1\r\n',
  'GET //h/a HTTP/1.1\r\n',
  'GET a HTTP/1.1\r\n',
  'GET * HTTP/1.1\r\n',
  'OPTIONS * HTTP/1.1\r\n',
  'HEAD /a HTTP/1.1\r\n',
  'CONNECT h:80 HTTP/1.1\r\n',
  'GET http://h@x/a HTTP/1.1\r\n',
  'GET /a HTTP/1.1\r\n\r',
  'PO\0ST /a HTTP/1.1\r\n',
  'GET /a HTTP/1.1\rX: y\r\n',
  'GET /a HTTP/1.1 HTTP/1.1\r\n',
  'GET /a b HTTP/1.1\r\n',
  'PRI * HTTP/2.0\r\n',
  'GET\x0b/a HTTP/1.1\r\n',
  'get /a HTTP/1.1\r\n',
]

const hostLines: readonly string[] = [
  'Host: h\r\n',
  'Host: h\r\nHost: x\r\n',
  '',
  'Host: h, x\r\n',
  'Host: h:80\r\n',
  'Host: h x\r\n',
  'Host:\r\n',
  'Host: h/a\r\n',
  'Host : h\r\n',
  'Host: h\n',
  'host:h\r\n',
  'Host: h\r\n\tx\r\n',
  'Host: x@h\r\n',
  'Host: [::1]\r\n',
  'Host: h:x\r\n',
  'Host: \xff\r\n',
  'X: \r\nHost: h\r\n',
]

const otherLines: readonly string[] = [
  '',
  'Connection: close\r\n',
  'Connection: keep-alive, X-A\r\nX-A: 1\r\n',
  'Connection: Host\r\n',
  'Connection: Content-Length\r\n',
  'Expect: 100-continue\r\n',
  'Expect: x\r\n',
  'Upgrade: websocket\r\nConnection: Upgrade\r\n',
  'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n',
  'TE: trailers\r\n',
  'Fly-Client-IP: 6.6.6.6\r\n',
  'fly_client_ip: 6.6.6.6\r\n',
  'Fly-Client-IP : 6.6.6.6\r\n',
  'X: y\r\n\tz\r\n',
  'X: y\r\n z\r\n',
  ': y\r\n',
  'X\r\n',
  'X y: z\r\n',
  'X: y\0z\r\n',
  'X: y\x7fz\r\n',
  'X: \x80\xff\r\n',
  'X(y): z\r\n',
  'X: y\r\r\n',
  'X: y\n\r\n',
  '\r\r\n',
  'X:: y\r\n',
  `X: ${'y'.repeat(9000)}\r\n`,
  `X: ${'y'.repeat(40_000)}\r\n`,
  'X: 1\r\n'.repeat(150),
]

const bodies: readonly string[] = [
  '',
  'hello',
  HELLO_CHUNKS,
  `0\r\n\r\n${INNER}`,
  `5\r\nhello\r\n0\r\n\r\n${INNER}`,
  `hello${INNER}`,
  INNER,
  `5\nhello\n0\n\n${INNER}`,
  `5\r\nhello\r\n0\r\nX-Smuggled: 1\r\n\r\n`,
  `5;${'a'.repeat(50)}\r\nhello\r\n0\r\n\r\n`,
  `5;a=\n\r\nhello\r\n0\r\n\r\n${INNER}`,
  `5 \r\nhello\r\n0\r\n\r\n`,
  `+5\r\nhello\r\n0\r\n\r\n`,
  `0x5\r\nhello\r\n0\r\n\r\n`,
  `5\r\nhelloX0\r\n\r\n`,
  `5\r\nhello0\r\n\r\n${INNER}`,
  `000000000000000000005\r\nhello\r\n0\r\n\r\n`,
  `FFFFFFFFFFFFFFFF5\r\nhello\r\n0\r\n\r\n`,
  `5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n${INNER}`,
  `5\r\nhello\r\n0\r\nX: y\n\r\n${INNER}`,
  `0\r\n \r\n${INNER}`,
  `5\r\nhello\r\n0\n\r\n${INNER}`,
  `5\r\nhello\r\n0\r\n\n${INNER}`,
  `5\r\nhello\r\n\r\n0\r\n\r\n`,
  `5\r\nhello\r\n0;x\r\n\r\n${INNER}`,
  `5\r\rhello\r\n0\r\n\r\n`,
  `2d\r\n${INNER.slice(0, 45)}\r\n0\r\n\r\n`,
]

const head = (start: string, host: string, ...lines: string[]) =>
  `${start}${host}${lines.join('')}\r\n`

/** Each length with each coding, and each of the other pieces in turn with plain surroundings. */
export function handMade(): string[] {
  const cases: string[] = []
  for (const length of lengthLines) {
    for (const coding of codingLines) {
      for (const body of [`0\r\n\r\n${INNER}`, `hello${INNER}`]) {
        if (length !== '' && coding !== '' && !isPlain(length) && !isPlain(coding)) continue
        cases.push(head('POST /a HTTP/1.1\r\n', 'Host: h\r\n', length, coding) + body)
      }
    }
  }
  for (const start of startLines)
    for (const body of ['', INNER]) cases.push(head(start, 'Host: h\r\n') + body)
  for (const host of hostLines) cases.push(head('GET /a HTTP/1.1\r\n', host) + INNER)
  for (const other of otherLines)
    cases.push(
      `${head('POST /a HTTP/1.1\r\n', 'Host: h\r\n', other, 'Content-Length: 5\r\n')}hello${INNER}`,
    )
  for (const body of bodies)
    cases.push(head('POST /a HTTP/1.1\r\n', 'Host: h\r\n', 'Transfer-Encoding: chunked\r\n') + body)
  return cases
}

const isPlain = (line: string) =>
  /^(Content-Length: [05]|Transfer-Encoding: chunked)\r\n$/.test(line)

/** One request of pieces drawn at random, sometimes with an octet changed. */
export function randomCase(random: Random): string {
  const pick = (pieces: readonly string[]) => pieces[random.int(pieces.length)] ?? ''
  const mostly = (usual: string, pieces: readonly string[]) =>
    random.int(4) === 0 ? pick(pieces) : usual
  const framing = [mostly('', lengthLines), mostly('Transfer-Encoding: chunked\r\n', codingLines)]
  if (random.int(2) === 0) framing.reverse()
  const text =
    head(
      mostly('POST /a HTTP/1.1\r\n', startLines),
      mostly('Host: h\r\n', hostLines),
      mostly('', otherLines),
      ...framing,
    ) + pick(bodies)
  return random.int(3) === 0 ? mutate(text, random) : text
}

const OCTETS = '\0\t\n\v\r  ,:;0A\x7f\x80'

function mutate(text: string, random: Random): string {
  const at = random.int(Math.min(text.length, 200))
  const octet = OCTETS[random.int(OCTETS.length)] ?? ''
  switch (random.int(3)) {
    case 0:
      return text.slice(0, at) + octet + text.slice(at)
    case 1:
      return text.slice(0, at) + octet + text.slice(at + 1)
    default:
      return text.slice(0, at) + text.slice(at + 1)
  }
}
