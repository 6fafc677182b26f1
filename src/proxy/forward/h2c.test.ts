import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  connect,
  createServer,
  type Http2Server,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2'
import { type AddressInfo, connect as connectTcp } from 'node:net'
import test from 'node:test'
import { pollUntil } from '#base'
import { answering, exchange, startMachine, startProxy } from '../proxy.fixture.ts'
import { startTwoHosts } from '../run/two-hosts.fixture.ts'
import { certificatesFor, makeCertificate } from '../tls/certificate.fixture.ts'

const CLOSE = 'Connection: close\r\n\r\n'
const h2_backend = { h2_backend: true }

/** A machine that speaks HTTP/2 without TLS. */
async function startH2Machine(
  serve: (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void,
  settings: Settings = {},
): Promise<AsyncDisposable & { readonly port: number; readonly sessions: () => number }> {
  let sessions = 0
  const server: Http2Server = createServer({ settings })
  const open = new Set<{ destroy(): void }>()
  server.on('session', (session) => {
    sessions += 1
    open.add(session)
  })
  server.on('stream', serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    sessions: () => sessions,
    async [Symbol.asyncDispose]() {
      for (const session of open) session.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test('HTTP/1.1 clients are served by a machine that speaks h2c, all over one connection', async () => {
  const seen: Record<string, unknown>[] = []
  await using machine = await startH2Machine((stream, headers) => {
    seen.push(headers)
    const endStream = headers[':method'] === 'HEAD'
    stream.respond({ ':status': 200, 'set-cookie': ['a=1', 'b=2'] }, { endStream })
    if (!endStream) stream.end(`you asked for ${headers[':path']}`)
  })
  await using proxy = startProxy({ machines: [machine.port], service: h2_backend })
  for (const path of ['/a', '/b']) {
    const answer = await exchange(proxy.port, `GET ${path} HTTP/1.1\r\nHost: h.test\r\n${CLOSE}`)
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/)
    assert.match(answer, /\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n/i)
    assert.match(answer, new RegExp(`you asked for ${path}`))
  }
  assert.equal(machine.sessions(), 1)
  assert.deepEqual([seen[0]?.[':authority'], seen[0]?.['fly-client-ip']], ['h.test', '127.0.0.1'])
  const head = await exchange(proxy.port, `HEAD / HTTP/1.1\r\nHost: h\r\n${CLOSE}`)
  assert.match(head, /^HTTP\/1\.1 200 OK\r\n/)
  assert.doesNotMatch(head, /content-length/i)
})

test('large bodies pass both ways through h2c, with a length and in chunks', async () => {
  const body = randomBytes(1 << 20)
  await using machine = await startH2Machine((stream, headers) => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      const isSame = Buffer.concat(chunks).equals(body)
      stream.respond({
        ':status': isSame ? 200 : 400,
        'x-length': String(headers['content-length']),
      })
      stream.end(body)
    })
  })
  await using proxy = startProxy({ machines: [machine.port], service: h2_backend })
  const start = `POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n`
  const answers = [
    await exchange(
      proxy.port,
      Buffer.concat([Buffer.from(`${start}Content-Length: ${body.length}\r\n\r\n`), body]),
    ),
    await exchange(
      proxy.port,
      Buffer.concat([
        Buffer.from(`${start}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n`),
        body,
        Buffer.from('\r\n0\r\n\r\n'),
      ]),
    ),
  ]
  assert.match(answers[0] ?? '', new RegExp(`^HTTP/1.1 200 .*x-length: ${body.length}\r\n`, 'is'))
  assert.match(answers[1] ?? '', /^HTTP\/1.1 200 .*x-length: undefined\r\n/is)
  for (const answer of answers) assert.ok(answer.length > body.length)
})

test('gRPC: both directions at once, and the status in trailers, from HTTP/2 to HTTP/2', async () => {
  await using machine = await startH2Machine((stream, headers) => {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'x-te': String(headers['te']) },
      { waitForTrailers: true },
    )
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.on('data', (chunk: Buffer) => stream.write(`<${chunk}>`))
    stream.on('end', () => stream.end())
  })
  const certificates = certificatesFor('a.test', makeCertificate('a.test'))
  await using proxy = startProxy({
    machines: [machine.port],
    service: h2_backend,
    handlers: ['tls', 'http'],
    certificates,
  })
  const client = connect(`https://127.0.0.1:${proxy.port}`, {
    servername: 'a.test',
    rejectUnauthorized: false,
  })
  const stream = client.request({ ':method': 'POST', ':authority': 'a.test', te: 'trailers' })
  let text = ''
  let status: unknown
  stream.on('data', (chunk: Buffer) => {
    text += chunk
  })
  stream.on('trailers', (trailers) => {
    status = trailers['grpc-status']
  })
  for (const word of ['one', 'two']) {
    stream.write(word)
    await pollUntil(word, () => text.endsWith(`<${word}>`), { deadlineMs: 30_000 })
  }
  stream.end()
  await once(stream, 'close')
  assert.deepEqual([text, status], ['<one><two>', '0'])
  client.close()
})

test('a machine that speaks only HTTP/1.1 is PU01 at once; one that is not there, another is tried', async () => {
  await using old = await startMachine((socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  )
  await using proxy = startProxy({ machines: [old.port], service: h2_backend })
  const get = `GET / HTTP/1.1\r\nHost: h\r\n${CLOSE}`
  assert.match(await exchange(proxy.port, get), /^HTTP\/1.1 502/)
  assert.equal(proxy.serving.counters.faults.get('PU01'), 1)

  await using gone = await startMachine(answering(''))
  const { port } = gone
  await gone[Symbol.asyncDispose]()
  await using machine = await startH2Machine((stream) => {
    stream.respond({ ':status': 204 }, { endStream: true })
  })
  await using two = startProxy({ machines: [port, machine.port], service: h2_backend })
  assert.match(await exchange(two.port, get), /^HTTP\/1.1 204/)
})

test('a client that goes away cancels its stream, and others on the connection go on', async () => {
  const open: ServerHttp2Stream[] = []
  await using machine = await startH2Machine((stream, headers) => {
    stream.on('error', () => undefined)
    open.push(stream)
    if (headers[':path'] === '/fast') stream.respond({ ':status': 204 }, { endStream: true })
  })
  await using proxy = startProxy({ machines: [machine.port], service: h2_backend })
  const leaving = connectTcp(proxy.port, '127.0.0.1')
  leaving.write('GET /slow HTTP/1.1\r\nHost: h\r\n\r\n')
  await pollUntil('the stream', () => open.length === 1, { deadlineMs: 30_000 })
  leaving.resetAndDestroy()
  await pollUntil('its end', () => open[0]?.destroyed === true, { deadlineMs: 30_000 })
  const fast = await exchange(proxy.port, `GET /fast HTTP/1.1\r\nHost: h\r\n${CLOSE}`)
  assert.match(fast, /^HTTP\/1.1 204/)
  assert.equal(machine.sessions(), 1)
})

test('h2c reaches machines of other hosts over the backhaul', async () => {
  await using machine = await startH2Machine((stream) => {
    stream.respond({ ':status': 200 })
    stream.end('far')
  })
  await using hosts = await startTwoHosts({ machine: machine.port, http: { h2_backend: true } })
  for (let count = 0; count < 2; count += 1) {
    const answer = await exchange(hosts.port, `GET / HTTP/1.1\r\nHost: h\r\n${CLOSE}`)
    assert.match(
      answer,
      /^HTTP\/1.1 200 .*far/s,
      JSON.stringify([...hosts.serving.counters.faults]),
    )
  }
  const [service] = hosts.worker.table.machine('m1')?.services ?? []
  await pollUntil('its end at the worker', () => service?.load === 0, { deadlineMs: 30_000 })
})

/** The key and its answer are RFC 6455's own example (section 1.3). */
const UPGRADE =
  'GET /chat?x=1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

test('a WebSocket reaches a machine that speaks h2c as an extended CONNECT', async () => {
  let asked: Record<string, unknown> = {}
  await using machine = await startH2Machine(
    (stream, headers) => {
      asked = headers
      stream.respond({ ':status': 200, 'sec-websocket-protocol': 'chat' })
      stream.pipe(stream)
    },
    { enableConnectProtocol: true },
  )
  await using proxy = startProxy({ machines: [machine.port], service: h2_backend })
  const client = connectTcp({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true })
  let came = ''
  client.on('data', (chunk: Buffer) => {
    came += chunk.toString('latin1')
  })
  const ended = once(client, 'end')
  client.write(UPGRADE)
  const until = (what: string, state: () => boolean) =>
    pollUntil(what, state, { deadlineMs: 30_000 })
  await until('the upgrade', () => came.includes('\r\n\r\n'))
  assert.match(came, /^HTTP\/1\.1 101 /)
  assert.match(came, /\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i)
  assert.match(came, /\r\nsec-websocket-protocol: chat\r\n/i)
  const { ':method': method, ':protocol': protocol, ':path': path } = asked
  assert.deepEqual([method, protocol, path], ['CONNECT', 'websocket', '/chat?x=1'])
  assert.equal(asked['sec-websocket-version'], '13')
  assert.equal(asked['sec-websocket-key'], undefined)
  const big = 'y'.repeat(300_000)
  client.write(big)
  await until('all of it to come back', () => came.endsWith(big))
  client.end()
  await ended
  client.destroy()
  await until('the tunnel to end', () => proxy.serving.counters.tunnelsOpen === 0)
})

test('a WebSocket to a machine that speaks h2c on a host whose proxy ends gets a close frame', async () => {
  await using machine = await startH2Machine(
    (stream) => {
      stream.on('error', () => undefined)
      stream.respond({ ':status': 200 })
    },
    { enableConnectProtocol: true },
  )
  await using hosts = await startTwoHosts({ machine: machine.port, http: h2_backend })
  const client = connectTcp({ port: hosts.port, host: '127.0.0.1' })
  let came = ''
  client.on('data', (chunk: Buffer) => {
    came += chunk.toString('latin1')
  })
  client.write(UPGRADE)
  const until = (what: string, state: () => boolean) =>
    pollUntil(what, state, { deadlineMs: 30_000 })
  await until('the upgrade', () => came.includes('\r\n\r\n'))
  hosts.worker.drain()
  const drained = hosts.worker.drained(0, 60_000)
  await until('the close frame', () => came.endsWith('\x88\x02\x03\xe9'))
  client.destroy()
  await drained
})

test('a machine that refuses a WebSocket over h2c, or knows none, answers as to any request', async () => {
  for (const enableConnectProtocol of [true, false]) {
    await using machine = await startH2Machine(
      (stream) => {
        stream.respond({ ':status': 403 })
        stream.end('no')
      },
      { enableConnectProtocol },
    )
    await using proxy = startProxy({ machines: [machine.port], service: h2_backend })
    const answer = await exchange(proxy.port, UPGRADE, { until: (text) => /\r\n0\r\n/.test(text) })
    assert.match(answer, /^HTTP\/1\.1 403 /)
  }
})
