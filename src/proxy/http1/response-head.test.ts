import assert from 'node:assert/strict'
import test from 'node:test'
import { Fault, faultName } from './fault.ts'
import { HeadWriter } from './head-writer.ts'
import { Framing, parseResponseHead, ResponseHead } from './response-head.ts'
import { writeResponseHead } from './write-response.ts'

const parse = (text: string, isHead = false) => {
  const bytes = Buffer.from(text, 'latin1')
  const head = new ResponseHead()
  return { head, result: parseResponseHead(bytes, 0, bytes.length, head, isHead, 32 << 10) }
}
const write = (
  head: ResponseHead,
  rules: Record<string, false | string[]> = {},
  pristine = false,
) => {
  const out = new HeadWriter(Buffer.alloc(8192))
  writeResponseHead(out, head, {
    framing: head.framing,
    closes: false,
    isHttp10: false,
    requestId: Buffer.from('id-loc'),
    rules: { headers: new Map(Object.entries(rules)), pristine },
    via: Buffer.from('1.1 fly.io'),
  })
  return out.bytes.toString('latin1', 0, out.at)
}

test('the framing of a body follows RFC 9112, section 6.3', () => {
  const framing = (text: string, isHead = false) => parse(text, isHead).head.framing
  assert.equal(framing('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'), Framing.length)
  assert.equal(framing('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'), Framing.none)
  assert.equal(framing('HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n'), Framing.chunked)
  assert.equal(framing('HTTP/1.1 200 OK\r\n\r\n'), Framing.close)
  assert.equal(framing('HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n'), Framing.none)
  assert.equal(framing('HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n'), Framing.none)
  assert.equal(framing('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', true), Framing.none)
})

test('a reason may be empty, and its space missing', () => {
  assert.equal(parse('HTTP/1.1 200 \r\n\r\n').head.status, 200)
  assert.equal(parse('HTTP/1.1 200\r\n\r\n').head.status, 200)
})

// biome-ignore format: a table
for (const [what, text, fault] of [
  ['both lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', Fault.transferEncoding],
  ['lengths that differ', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n', Fault.contentLength],
  ['another coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n', Fault.coding],
  ['a bare LF', 'HTTP/1.1 200 OK\nX: 1\r\n\r\n', Fault.startLine],
  ['two digits', 'HTTP/1.1 20 OK\r\nX: 1\r\n\r\n', Fault.startLine],
  ['another protocol', 'ICY 200 OK\r\nX: 1234\r\n\r\n', Fault.startLine],
  ['a folded field', 'HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n', Fault.fold],
] as const) {
  test(`a response with ${what} is refused`, () => {
    assert.equal(faultName(parse(text).result), faultName(fault))
  })
}

test('the response is signed, and the hop and replay fields stay here', () => {
  const { head } = parse(
    'HTTP/1.1 200 OK\r\nServer: app\r\nVia: 1.0 x\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nfly-replay: region=a\r\nX-App: 1\r\nContent-Length: 2\r\n\r\n',
  )
  const sent = write(head)
  assert.match(
    sent,
    /^HTTP\/1\.1 200 OK\r\nX-App: 1\r\nServer: Godwit\/[^\r]+\r\nVia: 1\.0 x, 1\.1 fly\.io\r\nFly-Request-Id: id-loc\r\nDate: [^\r]+\r\nContent-Length: 2\r\n\r\n$/,
  )
})

test('pristine leaves Server, Via and Fly-Request-Id as the app sent them', () => {
  const sent = write(
    parse('HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 0\r\n\r\n').head,
    {},
    true,
  )
  assert.match(sent, /Server: x\r\n/)
  assert.doesNotMatch(sent, /via|fly-request-id/i)
})

test('configured headers are removed, replaced and repeated', () => {
  const { head } = parse('HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: 0\r\nContent-Length: 0\r\n\r\n')
  const sent = write(head, { 'x-a': false, 'x-b': ['1', '2'] })
  assert.doesNotMatch(sent, /X-A|X-B: 0/)
  assert.match(sent, /x-b: 1\r\nx-b: 2\r\n/)
})
