import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import { connect as connectTcp, type Socket } from 'node:net'
import test from 'node:test'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { firstOf, pollUntil } from '#base'
import { frame, HELLO } from '../http2/connection.fixture.ts'
import { answering, startMachine, startProxy } from '../proxy.fixture.ts'
import { certificatesFor, makeCertificate } from '../tls/certificate.fixture.ts'

const certificate = makeCertificate('a.test')
const certificates = certificatesFor('a.test', certificate)
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const CLOSING = 'GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n'

const open = (port: number, options: ConnectionOptions = {}) =>
  connect({ port, host: '127.0.0.1', servername: 'a.test', ca: certificate.chain, ...options })

/** `once` would throw what a reset says before. */
const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve))

async function talk(socket: TLSSocket | Socket, text: string): Promise<string> {
  let answer = ''
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1')
  })
  if (text !== '') socket.write(text)
  await new Promise<void>((resolve, reject) => {
    socket.once('end', resolve)
    socket.once('error', reject)
  })
  socket.destroy()
  return answer
}

test('a client cannot have a second handshake on its connection', {
  timeout: 120_000,
}, async () => {
  await using machine = await startMachine(answering(OK))
  await using proxy = startProxy({
    machines: [machine.port],
    handlers: ['tls', 'http'],
    certificates,
  })
  const socket = open(proxy.port, { maxVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] })
  await once(socket, 'secureConnect')
  const outcome = await new Promise((resolve) => {
    socket.once('close', () => resolve('refused'))
    socket.on('error', () => resolve('refused'))
    socket.renegotiate({}, (error) => resolve(error === null ? 'renegotiated' : 'refused'))
  })
  socket.destroy()
  assert.equal(outcome, 'refused')
  const another = open(proxy.port, { ALPNProtocols: ['http/1.1'] })
  await once(another, 'secureConnect')
  assert.match(await talk(another, CLOSING), /^HTTP\/1\.1 200 OK/)
})

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${version}: a request passes, and the machine is told that it came by https`, async () => {
    let head = ''
    await using machine = await startMachine(
      answering((one) => {
        head = one
        return OK
      }),
    )
    await using proxy = startProxy({
      machines: [machine.port],
      handlers: ['tls', 'http'],
      certificates,
    })
    const socket = open(proxy.port, {
      minVersion: version,
      maxVersion: version,
      ALPNProtocols: ['http/1.1'],
    })
    await once(socket, 'secureConnect')
    assert.equal(socket.getProtocol(), version)
    assert.equal(socket.alpnProtocol, 'http/1.1')
    assert.match(await talk(socket, CLOSING), /^HTTP\/1\.1 200 OK/)
    assert.match(head, /X-Forwarded-Proto: https\r\nX-Forwarded-SSL: on\r\n/)
  })
}

test('a session is resumed by another proxy with the same ticket key', async () => {
  await using machine = await startMachine(answering(OK))
  const options = {
    machines: [machine.port],
    handlers: ['tls' as const, 'http' as const],
    certificates,
  }
  await using first = startProxy(options)
  await using second = startProxy(options)
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const before = open(first.port, { maxVersion })
    const session = once(before, 'session')
    const answered = talk(before, CLOSING)
    const [ticket] = await session
    await answered
    const after = open(second.port, { maxVersion, session: ticket })
    await once(after, 'secureConnect')
    assert.equal(after.isSessionReused(), true, maxVersion)
    after.destroy()
  }
})

test('an unknown name is an alert, TLS 1.1 and plain text are refused, and each is counted', async () => {
  await using proxy = startProxy({ machines: [], handlers: ['tls', 'http'], certificates })
  const [unknown] = await once(open(proxy.port, { servername: 'b.test' }), 'error')
  assert.match(String(unknown), /unrecognized.name/i)
  assert.equal(proxy.serving.counters.tlsFailures.get('PT05'), 1)
  const plain = connectTcp(proxy.port, '127.0.0.1')
  plain.on('error', () => undefined)
  plain.write(CLOSING)
  await closed(plain)
  assert.equal(proxy.serving.counters.tlsFailures.get('PT04'), 1)
})

test('a handshake that stands still is ended', async () => {
  await using proxy = startProxy({
    machines: [],
    handlers: ['tls', 'http'],
    certificates,
    limits: { tlsHandshakeMs: 200 },
  })
  const socket = connectTcp(proxy.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(Buffer.from([22, 3, 1, 1, 0, 1]))
  await closed(socket)
  assert.equal(proxy.serving.counters.tlsFailures.get('PT08'), 1)
})

test('large bodies pass both ways through TLS', { timeout: 60_000 }, async () => {
  const bytes = 8 << 20
  await using machine = await startMachine((socket) => {
    let received = 0
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length
      if (received < bytes) return
      received = Number.NEGATIVE_INFINITY
      socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${bytes}\r\n\r\n`)
      socket.end(Buffer.alloc(bytes, 'z'))
    })
  })
  await using proxy = startProxy({
    machines: [machine.port],
    handlers: ['tls', 'http'],
    certificates,
  })
  const socket = open(proxy.port)
  socket.write(
    `POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: ${bytes}\r\n\r\n`,
  )
  socket.write(Buffer.alloc(bytes, 'y'))
  let came = 0
  socket.on('data', (chunk: Buffer) => {
    came += chunk.length
  })
  await once(socket, 'end')
  assert(came > bytes, `${came} of ${bytes} came`)
  socket.destroy()
})

test('tls alone: what the machine gets is plain, with the PROXY header first', async () => {
  for (const version of [1, 2] as const) {
    let received = Buffer.alloc(0)
    await using machine = await startMachine((socket) => {
      socket.on('data', (chunk: Buffer) => {
        received = Buffer.concat([received, chunk])
      })
      socket.once('end', () => socket.end('bye'))
    })
    await using proxy = startProxy({
      machines: [machine.port],
      handlers: ['tls', 'proxy_proto'],
      alpn: ['mqtt'],
      certificates,
      service: { proxy_proto_version: version },
    })
    const socket = open(proxy.port, { ALPNProtocols: ['mqtt'] })
    await once(socket, 'secureConnect')
    assert.equal(socket.alpnProtocol, 'mqtt')
    socket.end('hello')
    assert.equal(await talk(socket, ''), 'bye')
    if (version === 1)
      assert.match(
        received.toString(),
        new RegExp(`^PROXY TCP4 127.0.0.1 127.0.0.1 \\d+ ${proxy.port}\r\nhello$`),
      )
    else assert.equal(received.subarray(28).toString(), 'hello')
  }
})

test('raw TCP passes as it is, each direction ends by itself', async () => {
  await using machine = await startMachine((socket) => {
    let said = ''
    socket.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
    socket.once('end', () => socket.end(`you said ${said}`))
  })
  await using proxy = startProxy({ machines: [machine.port], handlers: [] })
  const socket = connectTcp({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true })
  socket.end('\0\x01hi')
  assert.equal(await talk(socket, ''), 'you said \0\x01hi')
})

test('pg_tls answers S to SSLRequest and N to GSSENCRequest, and then is TLS; a start without is refused', async () => {
  await using machine = await startMachine(
    (socket) => void socket.once('data', (chunk: Buffer) => socket.end(`pg ${chunk}`)),
  )
  await using proxy = startProxy({ machines: [machine.port], handlers: ['pg_tls'], certificates })
  const request = (code: number) => {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt32BE(8, 0)
    bytes.writeUInt32BE(code, 4)
    return bytes
  }
  const raw = connectTcp(proxy.port, '127.0.0.1')
  raw.write(request(80_877_104))
  assert.equal(String((await once(raw, 'data'))[0]), 'N')
  raw.write(request(80_877_103))
  assert.equal(String((await once(raw, 'data'))[0]), 'S')
  const socket = connect({ socket: raw, servername: 'a.test', ca: certificate.chain })
  assert.equal(await talk(socket, 'start'), 'pg start')
  const plain = connectTcp(proxy.port, '127.0.0.1')
  plain.on('error', () => undefined)
  plain.write(Buffer.from('0000000a00030000', 'hex'))
  await closed(plain)
})

async function withHttp2(
  machine: { port: number },
  work: (client: http2.ClientHttp2Session, proxy: ReturnType<typeof startProxy>) => Promise<void>,
) {
  await using proxy = startProxy({
    machines: [machine.port],
    handlers: ['tls', 'http'],
    certificates,
  })
  const client = http2.connect('https://a.test', {
    createConnection: () => open(proxy.port, { ALPNProtocols: ['h2'] }),
  })
  client.on('error', () => undefined)
  try {
    await work(client, proxy)
  } finally {
    client.destroy()
  }
}

async function fetch2(
  client: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  body?: string,
) {
  const stream = client.request(
    { ':authority': 'a.test', ...headers },
    { endStream: body === undefined },
  )
  let text = ''
  let trailers: http2.IncomingHttpHeaders | undefined
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  stream.once('trailers', (fields) => {
    trailers = fields
  })
  if (body !== undefined) stream.end(body)
  const [response] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
  await once(stream, 'close')
  return { response, text, trailers }
}

test('HTTP/2: many streams at once, each an HTTP/1.1 request for its machine', async () => {
  const heads: string[] = []
  await using machine = await startMachine(
    answering((head) => {
      heads.push(head)
      return OK
    }),
  )
  await withHttp2(machine, async (client) => {
    const all = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        fetch2(client, {
          ':path': `/${index}`,
          cookie: ['a=1', 'b=2'],
          'fly-client-ip': '6.6.6.6',
        }),
      ),
    )
    for (const { response, text } of all)
      assert.deepEqual([response[':status'], text, response['server']], [200, 'ok', 'Godwit/0.1'])
    assert.equal(heads.length, 100)
    for (const head of heads) {
      assert.match(head, /^GET \/\d+ HTTP\/1\.1\r\nHost: a\.test\r\ncookie: a=1; b=2\r\n/)
      assert.match(head, /Via: 2 fly\.io\r\n/)
      assert.doesNotMatch(head, /6\.6\.6\.6/)
    }
  })
})

test('HTTP/2: bodies and trailers pass both ways', async () => {
  let received = ''
  await using machine = await startMachine((socket) => {
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      if (received.endsWith('0\r\n\r\n'))
        socket.write(
          'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n',
        )
    })
  })
  await withHttp2(machine, async (client) => {
    const { text, trailers } = await fetch2(
      client,
      { ':method': 'POST', ':path': '/up', te: 'trailers' },
      'hello',
    )
    assert.match(
      received,
      /^POST \/up [\s\S]*Transfer-Encoding: chunked\r\n[\s\S]*\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/,
    )
    assert.equal(text, 'abc')
    assert.equal(trailers?.['x-sum'], '7')
  })
})

test('HTTP/2: a request that no HTTP/1.1 client could send does not reach a machine', async () => {
  let connections = 0
  await using machine = await startMachine((socket) => {
    connections += 1
    answering(OK)(socket)
  })
  await withHttp2(machine, async (client) => {
    for (const headers of [
      { ':path': '/a b' },
      { ':path': 'x' },
      { ':path': '/', ':authority': 'a@b' },
      { ':path': '/', ':method': 'G ET' },
    ]) {
      // nghttp2 itself resets some of them before the proxy sees them.
      const answer = await fetch2(client, headers).catch((error: NodeJS.ErrnoException) => error)
      if (answer instanceof Error) assert.equal(answer.code, 'ERR_HTTP2_STREAM_ERROR')
      else assert.equal(answer.response[':status'], 400, JSON.stringify(headers))
    }
    assert.equal(connections, 0)
  })
})

test('HTTP/2: a WebSocket by extended CONNECT', async () => {
  await using machine = await startMachine((socket) => {
    socket.once('data', (head: Buffer) => {
      assert.match(head.toString('latin1'), /Upgrade: websocket\r\n/)
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      )
      socket.on('data', (chunk) => socket.write(chunk))
    })
  })
  await withHttp2(machine, async (client, proxy) => {
    await once(client, 'remoteSettings')
    const stream = client.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': '/',
      ':scheme': 'https',
      ':authority': 'a.test',
    })
    const [response] = await once(stream, 'response')
    assert.equal(response[':status'], 200)
    stream.write('ping')
    assert.equal(String((await once(stream, 'data'))[0]), 'ping')
    stream.destroy()
    await pollUntil('the tunnel to end', () => proxy.serving.counters.tunnelsOpen === 0, {
      deadlineMs: 20_000,
    })
  })
})

test('HTTP/2: rapid reset ends its connection, and others are served', async () => {
  await using machine = await startMachine(() => undefined) // answers nobody
  await withHttp2(machine, async (client, proxy) => {
    const closed = once(client, 'close')
    let isClosed = false
    closed.then(() => {
      isClosed = true
    })
    while (!isClosed) {
      for (let index = 0; index < 50 && !client.destroyed; index += 1) {
        const stream = client.request({ ':path': '/', ':authority': 'a.test' })
        stream.on('error', () => undefined)
        stream.close(http2.constants.NGHTTP2_CANCEL)
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert((proxy.serving.counters.faults.get('h2-resets') ?? 0) > 0 || client.destroyed)
    await pollUntil('its requests to be gone', () => proxy.serving.counters.requestsActive === 0, {
      deadlineMs: 20_000,
    })
    const other = open(proxy.port, { ALPNProtocols: ['h2'] })
    await once(other, 'secureConnect')
    other.destroy()
  })
})

test('HTTP/2: a CONTINUATION flood ends its connection within the memory bound', async () => {
  await using machine = await startMachine(answering(OK))
  await using proxy = startProxy({
    machines: [machine.port],
    handlers: ['tls', 'http'],
    certificates,
  })
  const socket = open(proxy.port, { ALPNProtocols: ['h2'] })
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  socket.write(HELLO)
  socket.write(frame(1, 0, 1, Buffer.from([0x82, 0x87, 0x84])))
  // A literal field without indexing: 'x: ' and 8000 octets, again and again, never END_HEADERS.
  const value = Buffer.alloc(8000, 'a')
  const field = Buffer.concat([Buffer.from([0x00, 0x01, 0x78, 0x7f, 0xc1, 0x3d]), value])
  let isClosed = false
  socket.once('close', () => {
    isClosed = true
  })
  socket.resume()
  for (let sent = 0; sent < 20_000 && !isClosed; sent += 1) {
    if (!socket.write(frame(9, 0, 1, field)))
      await firstOf(once(socket, 'drain'), once(socket, 'close'))
  }
  await pollUntil('the connection to be ended', () => isClosed, { deadlineMs: 20_000 })
  assert.equal(proxy.serving.counters.requestsActive, 0)
})

test('one address gets only so many handshakes at once, and each that is refused is counted', async () => {
  await using machine = await startMachine(answering(OK))
  await using proxy = startProxy({
    machines: [machine.port],
    handlers: ['tls', 'http'],
    certificates,
    limits: { tlsHandshakesPerSecond: 1e-6, tlsHandshakesAtOnce: 2 },
  })
  for (let count = 0; count < 2; count += 1) {
    assert.match(await talk(open(proxy.port), CLOSING), /^HTTP\/1.1 200/)
  }
  await once(open(proxy.port), 'error')
  assert.equal(proxy.serving.counters.tlsFailures.get('PT01'), 1)
})
