import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http2 from 'node:http2'
import { connect, type Socket } from 'node:net'
import test from 'node:test'
import { connect as connectTls } from 'node:tls'
import { brotliDecompressSync, createGunzip, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { pollUntil } from '#base'
import { ChunkedDecoder } from '../http1/chunked.ts'
import { type Coding, chooseCoding } from '../http1/content-coding.ts'
import { answering, exchange, startMachine, startProxy } from '../proxy.fixture.ts'
import { certificatesFor, makeCertificate } from '../tls/certificate.fixture.ts'

const TEXT = 'The quick brown fox jumps over the lazy dog. '.repeat(200)
const decoders: Record<Coding, (bytes: Buffer) => Buffer> = {
  gzip: gunzipSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
}
const compressing = (machine: number) => ({ machines: [machine], service: { compress: true } })
const closing = (fields = '', method = 'GET') =>
  `${method} / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n${fields}\r\n`
const ok = (fields: string, body = TEXT) =>
  `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`

/** Head and body of one answer, the body without its framing. */
function parse(answer: string): { head: string; body: Buffer } {
  const end = answer.indexOf('\r\n\r\n') + 4
  const head = answer.slice(0, end)
  const bytes = Buffer.from(answer.slice(end), 'latin1')
  if (!/^Transfer-Encoding: chunked\r$/m.test(head)) return { head, body: bytes }
  const decoder = new ChunkedDecoder()
  const length = decoder.decode(bytes, 0, bytes.length)
  assert.ok(decoder.isDone, 'the body has its end')
  return { head, body: bytes.subarray(0, length) }
}

test('the coding is the one that the client likes best, then the one that packs best', () => {
  const wanted: [string | undefined, Coding | undefined][] = [
    [undefined, undefined],
    ['', undefined],
    ['gzip', 'gzip'],
    ['x-gzip', 'gzip'],
    ['gzip, deflate, br', 'br'],
    ['gzip, deflate, br, zstd', 'zstd'],
    ['GZIP;q=1.0, br;q=0.5', 'gzip'],
    ['*', 'zstd'],
    ['*;q=0.5, gzip', 'gzip'],
    ['zstd;q=0, br;q=0, *', 'gzip'],
    ['gzip;q=0', undefined],
    ['gzip;q=nonsense', undefined],
    ['identity, gzip;q=0.5', undefined],
    ['deflate', undefined],
  ]
  for (const [accepted, coding] of wanted)
    assert.equal(chooseCoding(accepted), coding, `${accepted}`)
})

test('a body is encoded as the client accepts it, and its head says so', async () => {
  await using machine = await startMachine(
    answering(
      ok('Content-Type: text/html; charset=utf-8\r\nETag: "a"\r\nAccept-Ranges: bytes\r\n'),
    ),
  )
  await using proxy = startProxy(compressing(machine.port))
  for (const [coding, decode] of Object.entries(decoders)) {
    const { head, body } = parse(
      await exchange(proxy.port, closing(`Accept-Encoding: ${coding}\r\n`)),
    )
    assert.match(head, new RegExp(`^Content-Encoding: ${coding}\r$`, 'm'))
    assert.match(head, /^Vary: Accept-Encoding\r$/m)
    assert.match(head, /^ETag: W\/"a"\r$/m)
    assert.doesNotMatch(head, /Content-Length|Accept-Ranges/)
    assert.ok(body.length < TEXT.length / 5)
    assert.equal(decode(body).toString('latin1'), TEXT)
  }
  assert.equal(proxy.serving.counters.compressionsActive, 0)
})

test('who accepts no coding gets the body as it is, with Vary', async () => {
  await using machine = await startMachine(
    answering(ok('Content-Type: text/plain\r\nVary: Origin\r\nETag: "a"\r\n')),
  )
  await using proxy = startProxy(compressing(machine.port))
  const { head, body } = parse(await exchange(proxy.port, closing()))
  assert.match(head, /^Vary: Origin\r\n[\s\S]*^Vary: Accept-Encoding\r$/m)
  assert.match(head, /^ETag: "a"\r$/m)
  assert.equal(body.toString('latin1'), TEXT)
})

const untouched = new Map([
  ['what is encoded already', ok('Content-Type: text/html\r\nContent-Encoding: gzip\r\n')],
  ['no-transform', ok('Content-Type: text/html\r\nCache-Control: public, no-transform\r\n')],
  ['a type that does not shrink', ok('Content-Type: image/png\r\n')],
  ['no type', ok('')],
  ['a small body', ok('Content-Type: text/html\r\n', 'small')],
  ['a digest of the octets', ok('Content-Type: text/html\r\nContent-Digest: sha-256=:x:\r\n')],
  [
    'a range',
    `HTTP/1.1 206 Partial\r\nContent-Type: text/html\r\nContent-Range: bytes 0-8999/99999\r\nContent-Length: ${TEXT.length}\r\n\r\n${TEXT}`,
  ],
])

for (const [what, answer] of untouched) {
  test(`not encoded: ${what}`, async () => {
    await using machine = await startMachine(answering(answer))
    await using proxy = startProxy(compressing(machine.port))
    const { head, body } = parse(
      await exchange(proxy.port, closing('Accept-Encoding: gzip, br\r\n')),
    )
    assert.doesNotMatch(head, /Content-Encoding: (?:br|zstd)|Vary/)
    assert.equal(body.toString('latin1'), answer.slice(answer.indexOf('\r\n\r\n') + 4))
    assert.match(head, new RegExp(`^Content-Length: ${body.length}\r$`, 'm'))
  })
}

test('`Content-Encoding: none` keeps a body as it is, and is told to nobody', async () => {
  await using machine = await startMachine(
    answering(ok('Content-Type: text/html\r\nContent-Encoding: none\r\n')),
  )
  await using proxy = startProxy(compressing(machine.port))
  const { head, body } = parse(await exchange(proxy.port, closing('Accept-Encoding: gzip\r\n')))
  assert.doesNotMatch(head, /Content-Encoding/)
  assert.equal(body.toString('latin1'), TEXT)
})

test('an answer to HEAD stays as it is, and so does all of a service that does not compress', async () => {
  await using machine = await startMachine(
    answering((head) =>
      head.startsWith('HEAD')
        ? 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9000\r\n\r\n'
        : ok('Content-Type: text/html\r\n'),
    ),
  )
  await using proxy = startProxy(compressing(machine.port))
  const accepts = 'Accept-Encoding: gzip\r\n'
  assert.match(await exchange(proxy.port, closing(accepts, 'HEAD')), /^Content-Length: 9000\r$/m)
  await using plain = startProxy({ machines: [machine.port] })
  const { head, body } = parse(await exchange(plain.port, closing(accepts)))
  assert.doesNotMatch(head, /Vary|Content-Encoding/)
  assert.equal(body.toString('latin1'), TEXT)
})

test('pipelined requests keep their order when only some answers are encoded', async () => {
  await using machine = await startMachine(
    answering((head) => ok(head.includes('/a') ? 'Content-Type: text/a\r\n' : 'X: 1\r\n')),
  )
  await using proxy = startProxy(compressing(machine.port))
  const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n`
  const answer = await exchange(
    proxy.port,
    ask('/a') + ask('/b') + ask('/a') + closing('Accept-Encoding: gzip\r\n'),
  )
  const codings = answer
    .split(/(?=HTTP\/1\.1 200)/)
    .map((one) => /Content-Encoding: (\w+)/.exec(one)?.[1])
  assert.deepEqual(codings, ['gzip', undefined, 'gzip', undefined])
})

test('an event is at the client before the next one is said', async () => {
  let events: Socket | undefined
  await using machine = await startMachine((socket) => {
    socket.once('data', () => {
      events = socket
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n')
    })
  })
  await using proxy = startProxy(compressing(machine.port))
  const client = connect(proxy.port, '127.0.0.1')
  const gunzip = createGunzip()
  let text = ''
  let raw = Buffer.alloc(0)
  let fed = -1
  gunzip.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  client.on('data', (chunk: Buffer) => {
    raw = Buffer.concat([raw, chunk])
    if (fed < 0 && raw.includes('\r\n\r\n')) fed = raw.indexOf('\r\n\r\n') + 4
    for (let end = raw.indexOf('\r\n', fed); fed >= 0 && end >= 0; end = raw.indexOf('\r\n', fed)) {
      const size = Number.parseInt(raw.toString('latin1', fed, end), 16)
      if (raw.length < end + 4 + size) return
      if (size > 0) gunzip.write(raw.subarray(end + 2, end + 2 + size))
      fed = end + 4 + size
    }
  })
  client.write('GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n')
  const deadline = { deadlineMs: 20_000 }
  await pollUntil('the stream', () => events !== undefined, deadline)
  for (const event of ['data: one\n\n', 'data: two\n\n']) {
    events?.write(event)
    await pollUntil(event, () => text.endsWith(event), deadline)
  }
  assert.match(raw.toString('latin1'), /Content-Encoding: gzip/)
  client.resetAndDestroy()
  await pollUntil('its end', () => proxy.serving.counters.compressionsActive === 0, deadline)
})

test('a response that breaks off is not ended, and a client that stops reading stops the machine', async () => {
  let sent = 0
  await using machine = await startMachine((socket) => {
    socket.once('data', (request: Buffer) => {
      socket.write(
        'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n',
      )
      if (request.includes('/break')) {
        socket.end(`${TEXT.length.toString(16)}\r\n${TEXT}`)
        return
      }
      const noise = randomBytes(65_536)
      const more = () => {
        let isTaken = true
        while (isTaken && sent < 64 << 20) {
          sent += noise.length
          isTaken = socket.write(
            Buffer.concat([Buffer.from('10000\r\n'), noise, Buffer.from('\r\n')]),
          )
        }
      }
      socket.on('drain', more)
      more()
    })
  })
  await using proxy = startProxy(compressing(machine.port))
  const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n`
  const broken = await exchange(proxy.port, ask('/break'))
  assert.doesNotMatch(broken, /\r\n0\r\n\r\n$/)
  assert.equal(proxy.serving.counters.compressionsActive, 0)
  const client = connect(proxy.port, '127.0.0.1')
  client.pause()
  client.write(ask('/'))
  let before = -1
  await pollUntil(
    'the machine stands still',
    () => {
      const isStill = sent > 0 && sent === before
      before = sent
      return isStill
    },
    { deadlineMs: 30_000, intervalMs: 500 },
  )
  assert.ok(sent < 64 << 20, `${sent} bytes were taken for a client that reads none`)
  client.destroy()
})

test('HTTP/2: a client that takes nothing of an encoded answer is ended', async () => {
  const certificate = makeCertificate('a.test')
  const noise = randomBytes(100_000).toString('latin1')
  await using machine = await startMachine(answering(ok('Content-Type: text/plain\r\n', noise)))
  await using proxy = startProxy({
    ...compressing(machine.port),
    handlers: ['tls', 'http'],
    certificates: certificatesFor('a.test', certificate),
    limits: { exchangeIdleMs: 1000 },
  })
  const client = http2.connect('https://a.test', {
    settings: { initialWindowSize: 0 },
    createConnection: () =>
      connectTls({
        ...{ port: proxy.port, host: '127.0.0.1', servername: 'a.test' },
        ...{ ca: certificate.chain, ALPNProtocols: ['h2'] },
      }),
  })
  const stream = client.request({ ':authority': 'a.test', 'accept-encoding': 'gzip' })
  const closed = new Promise((resolve) => stream.once('close', resolve))
  stream.on('error', () => undefined) // the proxy ends it
  await once(stream, 'response')
  await closed
  assert.equal(proxy.serving.counters.compressionsActive, 0)
  assert.equal(proxy.serving.counters.requestsActive, 0)
  client.destroy()
})

test('above the bound answers go as they are', async () => {
  await using machine = await startMachine(answering(ok('Content-Type: text/plain\r\n')))
  await using proxy = startProxy({ ...compressing(machine.port), limits: { compressionsMax: 0 } })
  const { head, body } = parse(await exchange(proxy.port, closing('Accept-Encoding: gzip\r\n')))
  assert.doesNotMatch(head, /Content-Encoding/)
  assert.match(head, /Vary: Accept-Encoding/)
  assert.equal(body.toString('latin1'), TEXT)
})

test('HTTP/2: the body is encoded, its trailers come behind it', async () => {
  const certificate = makeCertificate('a.test')
  const size = TEXT.length.toString(16)
  await using machine = await startMachine(
    answering(
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: "a"\r\nTransfer-Encoding: chunked\r\n\r\n${size}\r\n${TEXT}\r\n0\r\nX-Sum: 9\r\n\r\n`,
    ),
  )
  await using proxy = startProxy({
    ...compressing(machine.port),
    handlers: ['tls', 'http'],
    certificates: certificatesFor('a.test', certificate),
  })
  const client = http2.connect('https://a.test', {
    createConnection: () =>
      connectTls({
        ...{ port: proxy.port, host: '127.0.0.1', servername: 'a.test' },
        ...{ ca: certificate.chain, ALPNProtocols: ['h2'] },
      }),
  })
  const stream = client.request({ ':authority': 'a.test', 'accept-encoding': 'gzip, br' })
  const chunks: Buffer[] = []
  const trailers: string[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.once('trailers', (fields) => trailers.push(String(fields['x-sum'])))
  const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
  await once(stream, 'close')
  client.destroy()
  assert.equal(head['content-encoding'], 'br')
  assert.equal(head['vary'], 'Accept-Encoding')
  assert.equal(head['etag'], 'W/"a"')
  assert.equal(brotliDecompressSync(Buffer.concat(chunks)).toString('latin1'), TEXT)
  assert.deepEqual(trailers, ['9'])
})
