import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { Fault, faultName, faultStatus } from './fault.ts'
import { HeadWriter } from './head-writer.ts'
import { defaultHeadLimits, parseRequestHead, RequestHead } from './request-head.ts'
import { type RequestHop, writeRequestHead } from './write-request.ts'

const parse = (text: string, limits = defaultHeadLimits) => {
  const bytes = Buffer.from(text, 'latin1')
  const head = new RequestHead()
  const result = parseRequestHead(bytes, 0, bytes.length, head, limits)
  return { result, head, bytes }
}

const hop: RequestHop = {
  lines: Buffer.from('Fly-Client-IP: 192.0.2.1\r\n'),
  forwardedFor: Buffer.from('192.0.2.1, 198.51.100.1'),
  forwardedPort: Buffer.from('443'),
  via: Buffer.from('1.1 fly.io'),
  hostWithout: Buffer.from('198.51.100.1'),
}

const write = (head: RequestHead, headers?: ReadonlyMap<string, string | false>) => {
  const out = new HeadWriter(Buffer.alloc(64 << 10))
  const extras = { requestId: Buffer.from('01-loc'), startUs: 1, headers, target: undefined }
  writeRequestHead(out, head, hop, extras)
  return out.bytes.toString('latin1', 0, out.at)
}

const get = (fields: string) => `GET / HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n`

test('a plain request is read', () => {
  const { result, head, bytes } = parse(
    'GET /p?q=1 HTTP/1.1\r\nHost: A.example:8080\r\nX: 1\r\n\r\n',
  )
  assert.equal(result, bytes.length)
  assert.equal(head.method, 'GET')
  assert.equal(head.target, '/p?q=1')
  assert.equal(head.host, 'a.example')
  assert.equal(head.lines.find('x'), '1')
  assert.equal(head.isPersistent, true)
  assert.equal(head.hasBody, false)
})

// biome-ignore format: a table
const refused: readonly [what: string, text: string, fault: number][] = [
  ['a bare LF after the request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n', Fault.startLine],
  ['a bare CR in the request line', 'GET /\r HTTP/1.1\r\nHost: a\r\n\r\n', Fault.startLine],
  ['two spaces', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', Fault.startLine],
  ['a tab for a space', 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n', Fault.startLine],
  ['a space before the method', ' GET / HTTP/1.1\r\nHost: a\r\n\r\n', Fault.startLine],
  ['HTTP/0.9', 'GET /\r\n\r\n', Fault.startLine],
  ['HTTP/2.0 in clear text', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', Fault.version],
  ['HTTP/1.2', 'GET / HTTP/1.2\r\nHost: a\r\n\r\n', Fault.version],
  ['a version in lower case', 'GET / http/1.1\r\nHost: a\r\n\r\n', Fault.startLine],
  ['a long version', 'GET / HTTP/1.10\r\nHost: a\r\n\r\n', Fault.startLine],
  ['a space after the version', 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n', Fault.startLine],
  ['a fragment', 'GET /#x HTTP/1.1\r\nHost: a\r\n\r\n', Fault.startLine],
  ['an octet above 127 in the target', 'GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n', Fault.startLine],
  ['a NUL in the target', 'GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n', Fault.startLine],
  ['a target without a slash', 'GET x HTTP/1.1\r\nHost: a\r\n\r\n', Fault.startLine],
  ['an asterisk without OPTIONS', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', Fault.startLine],
  ['user information in absolute-form', 'GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n', Fault.startLine],
  ['another scheme', 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n', Fault.startLine],
  ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', Fault.method],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n', Fault.host],
  ['two Hosts', get('Host: b\r\n'), Fault.host],
  ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', Fault.host],
  ['a Host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', Fault.host],
  ['a Host with a comma', 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n', Fault.host],
  ['a Host with user information', 'GET / HTTP/1.1\r\nHost: a@b\r\n\r\n', Fault.host],
  ['a Host with two ports', 'GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n', Fault.host],
  ['a folded field', get('X: 1\r\n 2\r\n'), Fault.fold],
  ['a first line that begins with a space', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n', Fault.field],
  ['a space before the colon', get('X : 1\r\n'), Fault.field],
  ['a tab before the colon', get('Transfer-Encoding\t: chunked\r\n'), Fault.field],
  ['an empty name', get(': 1\r\n'), Fault.field],
  ['a line without a colon', get('X\r\n'), Fault.field],
  ['a NUL in a value', get('X: a\0b\r\n'), Fault.field],
  ['a bare CR in a value', get('X: a\rb\r\n'), Fault.field],
  ['a bare LF in a value', get('X: a\nContent-Length: 5\r\n'), Fault.field],
  ['a vertical tab in a value', get('Transfer-Encoding: \x0bchunked\r\n'), Fault.field],
  ['a bare LF at the end', 'GET / HTTP/1.1\r\nHost: a\r\n\n', Fault.field],
  ['both lengths', get('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'), Fault.transferEncoding],
  ['both lengths the other way round', get('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n'), Fault.transferEncoding],
  ['two lengths', get('Content-Length: 5\r\nContent-Length: 6\r\n'), Fault.contentLength],
  ['the same length twice', get('Content-Length: 5\r\nContent-Length: 5\r\n'), Fault.contentLength],
  ['a list of lengths', get('Content-Length: 5, 5\r\n'), Fault.contentLength],
  ['a signed length', get('Content-Length: +5\r\n'), Fault.contentLength],
  ['a negative length', get('Content-Length: -5\r\n'), Fault.contentLength],
  ['a hexadecimal length', get('Content-Length: 0x5\r\n'), Fault.contentLength],
  ['a length of nothing', get('Content-Length: \r\n'), Fault.contentLength],
  ['a length beyond what is exact', get('Content-Length: 9999999999999999\r\n'), Fault.contentLength],
  ['another coding', get('Transfer-Encoding: gzip\r\n'), Fault.coding],
  ['a coding before chunked', get('Transfer-Encoding: gzip, chunked\r\n'), Fault.coding],
  ['chunked not last', get('Transfer-Encoding: chunked, identity\r\n'), Fault.coding],
  ['quoted chunked', get('Transfer-Encoding: "chunked"\r\n'), Fault.coding],
  ['chunked with a parameter', get('Transfer-Encoding: chunked;x=1\r\n'), Fault.coding],
  ['chunked twice', get('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'), Fault.transferEncoding],
  ['chunked twice in one', get('Transfer-Encoding: chunked, chunked\r\n'), Fault.coding],
  ['chunked in HTTP/1.0', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n', Fault.transferEncoding],
  ['another expectation', get('Expect: 200-ok\r\n'), Fault.expectation],
]
for (const [what, text, fault] of refused) {
  test(`${what} is refused`, () => {
    const { result } = parse(text)
    assert.equal(faultName(result), faultName(fault))
    assert(faultStatus(result) >= 400)
  })
}

test('a head that is too large, has too many fields or too long a target has its own status', () => {
  assert.equal(faultStatus(parse(get(`X: ${'a'.repeat(33 << 10)}\r\n`)).result), 431)
  assert.equal(faultStatus(parse(get(`X: ${'a'.repeat(33 << 10)}`)).result), 431)
  assert.equal(faultStatus(parse(get('X: 1\r\n'.repeat(200))).result), 431)
  assert.equal(faultStatus(parse(`GET /${'a'.repeat(9 << 10)}`).result), 414)
})

test('in absolute-form the authority of the target counts, and the machine gets origin-form', () => {
  const { head } = parse('GET http://b.example:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.equal(head.host, 'b.example')
  assert.match(write(head), /^GET \/p\?q HTTP\/1\.1\r\nHost: b\.example:81\r\n/)
  assert.match(
    write(parse('GET http://b HTTP/1.1\r\nHost: a\r\n\r\n').head),
    /^GET \/ HTTP\/1\.1\r\nHost: b\r\n/,
  )
  assert.match(
    write(parse('GET http://b?x HTTP/1.1\r\nHost: a\r\n\r\n').head),
    /^GET \/\?x HTTP\/1\.1/,
  )
  assert.match(
    write(parse('OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n').head),
    /^OPTIONS \* HTTP\/1\.1/,
  )
})

test('fields of this hop and those that Connection names are not sent on', () => {
  const text = get(
    'Connection: close, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\nUpgrade: h2c\r\nX-Kept: 1\r\n',
  )
  const sent = write(parse(text).head)
  assert.doesNotMatch(sent, /x-secret|keep-alive|proxy-connection|^te:|upgrade|^connection:/im)
  assert.match(sent, /X-Kept: 1\r\n/)
})

test('Connection cannot take away what the proxy says', () => {
  const sent = write(
    parse(
      get(
        'Connection: Host, Content-Length, Fly-Client-IP, X-Forwarded-For\r\nContent-Length: 3\r\n',
      ),
    ).head,
  )
  assert.match(sent, /Host: a\.example\r\n/)
  assert.match(sent, /Content-Length: 3\r\n/)
  assert.match(sent, /Fly-Client-IP: 192\.0\.2\.1\r\n/)
  assert.match(sent, /X-Forwarded-For: 192\.0\.2\.1, 198\.51\.100\.1\r\n/)
})

test('forged facts are dropped, under an underscore too, and lists are appended to', () => {
  const forged =
    'Fly-Client-IP: 6.6.6.6\r\nfly_client_ip: 6.6.6.6\r\nFly-Region: x\r\nfly-replay-src: x\r\n'
  const lists =
    'X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nVia: 1.0 x\r\nX-Forwarded-Port: 99\r\nX-Forwarded-Proto: gopher\r\n'
  const sent = write(parse(get(`${forged + lists}Content_Length: 7\r\n`)).head)
  assert.doesNotMatch(sent, /6\.6\.6\.6|replay-src|gopher|Content_Length/i)
  assert.match(sent, /X-Forwarded-For: 1\.1\.1\.1, 2\.2\.2\.2, 192\.0\.2\.1, 198\.51\.100\.1\r\n/)
  assert.match(sent, /Via: 1\.0 x, 1\.1 fly\.io\r\n/)
  assert.match(sent, /X-Forwarded-Port: 99\r\n/)
  assert.doesNotMatch(sent, /X-Forwarded-Port: 443/)
})

test('what the router sets replaces what the client sent, and starts no line', () => {
  const { head } = parse(get('Cookie: a\r\nX-A: 1\r\n'))
  const sent = write(
    head,
    new Map<string, string | false>([
      ['cookie', false],
      ['x-a', '2\r\nX-B: 3'],
    ]),
  )
  assert.doesNotMatch(sent, /cookie/i)
  assert.match(sent, /x-a: 2 {2}X-B: 3\r\n/)
})

test('upgrade travels only when Connection says so', () => {
  assert.match(
    write(parse(get('Connection: Upgrade\r\nUpgrade: websocket\r\n')).head),
    /Connection: Upgrade\r\nUpgrade: websocket\r\n/,
  )
  assert.doesNotMatch(write(parse(get('Upgrade: websocket\r\n')).head), /upgrade/i)
})

const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,12}$/)
const value = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/)
const someRequest = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'X-Y'),
  target: fc.stringMatching(/^\/[a-z0-9?=&%./-]{0,30}$/),
  fields: fc.array(
    fc.tuple(
      token.map((name) => `x-${name}`),
      value,
    ),
    { maxLength: 10 },
  ),
  length: fc.option(fc.nat(1e6)),
})
const render = (request: {
  method: string
  target: string
  fields: [string, string][]
  length: number | null
}) =>
  `${request.method} ${request.target} HTTP/1.1\r\nHost: h.example\r\n${request.fields
    .filter(
      ([name]) =>
        !name.toLowerCase().startsWith('x-forwarded') && name.toLowerCase() !== 'x-request-start',
    )
    .map(([name, text]) => `${name}: ${text}\r\n`)
    .join('')}${request.length === null ? '' : `Content-Length: ${request.length}\r\n`}\r\n`

test('what was written parses to what was read', () => {
  fc.assert(
    fc.property(someRequest, (request) => {
      const first = parse(render(request)).head
      const second = parse(write(first)).head
      assert.equal(second.method, request.method)
      assert.equal(second.target, request.target)
      assert.equal(second.contentLength, request.length ?? -1)
      for (const [name] of request.fields) {
        assert.equal(second.lines.find(name.toLowerCase()), first.lines.find(name.toLowerCase()))
      }
    }),
  )
})

test('a head cut anywhere asks for more', () => {
  fc.assert(
    fc.property(someRequest, (request) => {
      const bytes = Buffer.from(render(request))
      const head = new RequestHead()
      for (let end = 0; end < bytes.length; end += 1) {
        assert.equal(parseRequestHead(bytes, 0, end, head), 0, `cut at ${end}`)
      }
    }),
    { numRuns: 50 },
  )
})

/** Slower and plainer: what a request that was taken looks like, as a whole. */
const TAKEN =
  /^(?:\r\n)?[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-"$-~]+ HTTP\/1\.[01]\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n$/

test('mutated bytes are taken only when the grammar takes them, and what is sent has one reading', () => {
  const seed = get('Content-Length: 5\r\nTransfer-Encoding: x\r\nX-Y: z\r\nConnection: a, b\r\n')
  const octets = fc.constantFrom(0, 9, 10, 11, 13, 32, 44, 48, 58, 59, 65, 127, 128, 255)
  const edit = fc.tuple(fc.nat(seed.length), octets, fc.constantFrom('replace', 'insert', 'delete'))
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 6 }), (edits) => {
      let text = seed.replace('Transfer-Encoding: x\r\n', '')
      for (const [at, octet, kind] of edits) {
        const cut = Math.min(at, text.length)
        text =
          text.slice(0, cut) +
          (kind === 'delete' ? '' : String.fromCharCode(octet)) +
          text.slice(cut + (kind === 'insert' ? 0 : 1))
      }
      const { result, head } = parse(text)
      if (result <= 0) return
      assert.match(text.slice(0, result), TAKEN)
      const sent = write(head)
      assert.match(sent, TAKEN)
      const again = parse(sent)
      assert.equal(again.result, sent.length)
      assert.equal(again.head.contentLength, head.contentLength)
      assert.equal(again.head.isChunked, head.isChunked)
    }),
    { numRuns: 2000 },
  )
})
