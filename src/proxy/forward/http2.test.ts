import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { connect } from 'node:tls'
import { promisify } from 'node:util'
import { pollUntil } from '#base'
import { block, frame, GET, HELLO } from '../http2/connection.fixture.ts'
import { answering, startMachine, startProxy } from '../proxy.fixture.ts'
import { certificatesFor, makeCertificate } from '../tls/certificate.fixture.ts'
import type { ProxyLimits } from './limits.ts'

const run = promisify(execFile)
const certificate = makeCertificate('a.test')
const DEADLINE = { deadlineMs: 30_000 }
const MIB = 2 ** 20

const openTls = (port: number) =>
  connect({
    ...{ port, host: '127.0.0.1', servername: 'a.test', ca: certificate.chain },
    ALPNProtocols: ['h2'],
  })

const withTls = (machine: number, limits: Partial<ProxyLimits> = {}, service = {}) =>
  startProxy({
    ...{ machines: [machine], handlers: ['tls', 'http'], limits, service },
    certificates: certificatesFor('a.test', certificate),
  })

function openClient(port: number, options: http2.ClientSessionOptions = {}) {
  const client = http2.connect('https://a.test', {
    ...options,
    createConnection: () => openTls(port),
  })
  client.on('error', () => undefined)
  return Object.assign(client, { [Symbol.dispose]: () => client.destroy() })
}

function request(
  client: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders = {},
  body?: Buffer,
) {
  const all = { ':path': '/', ':authority': 'a.test', ...headers }
  const stream = client.request(all, { endStream: body === undefined })
  stream.on('error', () => undefined)
  if (body !== undefined) stream.end(body)
  return stream
}

/** Octets that tell where they stand. */
const patterned = (length: number) =>
  Buffer.from(Uint32Array.from({ length: length / 4 }, (_, at) => at).buffer)

/** Answers with `body`, as much at a time as is taken. */
const sending = (body: Buffer) => (socket: Socket) =>
  void socket.on('data', () => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`)
    socket.write(body)
  })

async function bytesOf(stream: http2.ClientHttp2Stream): Promise<Buffer> {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(stream, 'close')
  return Buffer.concat(chunks)
}

test('large answers come whole, however small the windows are, several at once', async () => {
  const body = patterned(MIB)
  await using machine = await startMachine(sending(body))
  await using proxy = withTls(machine.port)
  for (const initialWindowSize of [20_000, 65_535, 4 * MIB]) {
    using client = openClient(proxy.port, { settings: { initialWindowSize } })
    const answers = await Promise.all([1, 2, 3].map(() => bytesOf(request(client))))
    for (const answer of answers) assert(answer.equals(body), `${initialWindowSize}`)
  }
})

test('a large body goes to its machine whole, and to one that reads slowly, too', async () => {
  const body = patterned(4 * MIB)
  let received: Buffer[] = []
  await using machine = await startMachine((socket) => {
    let length = 0
    let headLength = 0
    socket.on('data', (chunk: Buffer) => {
      received.push(chunk)
      if (length === 0) headLength = chunk.indexOf('\r\n\r\n') + 4
      length += chunk.length
      socket.pause()
      setImmediate(() => socket.resume())
      if (length < headLength + body.length) return
      length = 0
      socket.write('HTTP/1.1 204 No Content\r\n\r\n')
    })
  })
  await using proxy = withTls(machine.port)
  using client = openClient(proxy.port)
  for (let time = 0; time < 2; time += 1) {
    received = []
    const stream = request(client, { ':method': 'POST', 'content-length': body.length }, body)
    const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
    assert.equal(head[':status'], 204)
    const all = Buffer.concat(received)
    assert(all.subarray(all.indexOf('\r\n\r\n') + 4).equals(body))
  }
})

test('answers without a body end with their head; 1xx go before', async () => {
  const answers: Record<string, string> = {
    '/head': 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n',
    '/204': 'HTTP/1.1 204 No Content\r\n\r\n',
    '/304': 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n',
    '/hints':
      'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  }
  let connections = 0
  await using machine = await startMachine((socket) => {
    connections += 1
    answering((head) => answers[head.split(' ')[1] ?? ''] ?? '')(socket)
  })
  await using proxy = withTls(machine.port)
  using client = openClient(proxy.port)
  const ask = async (path: string, method = 'GET') => {
    const stream = request(client, { ':path': path, ':method': method })
    const hints: http2.IncomingHttpHeaders[] = []
    stream.on('headers', (head) => hints.push(head))
    const answered = once(stream, 'response')
    let flags = 0
    stream.once('response', (_head, said: number) => {
      flags = said
    })
    const body = await bytesOf(stream)
    assert.equal(flags & http2.constants.NGHTTP2_FLAG_END_STREAM, 1, 'nothing follows the head')
    const [head] = (await answered) as [http2.IncomingHttpHeaders]
    return { head, hints, body: String(body) }
  }
  const head = await ask('/head', 'HEAD')
  assert.deepEqual([head.head['content-length'], head.body], ['1000', ''])
  assert.equal((await ask('/204')).head[':status'], 204)
  assert.equal((await ask('/304')).head['etag'], '"x"')
  const { hints, head: final } = await ask('/hints')
  assert.deepEqual([hints[0]?.[':status'], hints[0]?.['link']], [103, '</a.css>'])
  assert.deepEqual([final[':status'], final['content-length']], [200, '0'])
  assert.equal(connections, 1, "the machine's connection is used again")
  const [responses] = [...proxy.serving.counters.responses.values()]
  assert.equal(responses?.byStatus.get(200)?.count, 2)
})

test('what the answer says is what HTTP/1.1 says: our fields, the rules of the app, many lines of a name', async () => {
  const answer = [
    'HTTP/1.1 200 OK',
    'Server: theirs',
    'Via: 1.1 before',
    'X-Powered-By: them',
    'Set-Cookie: a=1',
    'Set-Cookie: b=2',
    'X-Large: '.padEnd(20_000, 'v'),
    'Content-Length: 0\r\n\r\n',
  ].join('\r\n')
  await using machine = await startMachine(answering(answer))
  await using proxy = withTls(
    machine.port,
    {},
    { response_headers: { 'x-powered-by': false, 'x-more': ['one', 'two'] } },
  )
  using client = openClient(proxy.port)
  for (let time = 0; time < 4; time += 1) {
    const [head] = (await once(request(client), 'response')) as [http2.IncomingHttpHeaders]
    assert.equal(head['server'], 'Godwit/0.1')
    assert.equal(head['via'], '1.1 before, 1.1 fly.io')
    assert.match(String(head['fly-request-id']), /^[0-9A-Z]{26}-tst$/)
    assert.match(String(head['date']), / GMT$/)
    assert.equal(head['x-powered-by'], undefined)
    assert.equal(head['x-more'], 'one, two')
    assert.deepEqual(head['set-cookie'], ['a=1', 'b=2'])
    assert.equal(String(head['x-large']).length, 19_991)
  }
})

test('a client that opens no window holds little, and is ended; others on its connection go on', async () => {
  const body = patterned(8 * MIB)
  await using machine = await startMachine((socket) => {
    socket.on('data', (head: Buffer) => {
      if (head.includes('GET /large')) {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`)
        socket.write(body)
      } else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    })
  })
  await using proxy = withTls(machine.port, { exchangeIdleMs: 3_000 })
  using client = openClient(proxy.port, { settings: { initialWindowSize: 0 } })
  const before = process.memoryUsage().rss
  const stalled = Array.from({ length: 100 }, () => request(client, { ':path': '/large' }))
  const ended = Promise.all(
    stalled.map(async (stream) => {
      stream.resume()
      await new Promise((resolve) => stream.once('close', resolve))
      return stream.rstCode
    }),
  )
  const [head] = (await once(request(client, { ':method': 'HEAD' }), 'response')) as [
    http2.IncomingHttpHeaders,
  ]
  assert.equal(head[':status'], 200)
  assert.deepEqual(new Set(await ended), new Set([http2.constants.NGHTTP2_CANCEL]))
  const heldBytes = process.memoryUsage().rss - before
  assert(heldBytes < (stalled.length * body.length) / 4, `${heldBytes}`)
  await pollUntil('no request', () => proxy.serving.counters.requestsActive === 0, DEADLINE)
})

test('a body longer than it said never reaches the machine beyond', async () => {
  let received = ''
  await using machine = await startMachine((socket) => {
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
    })
  })
  await using proxy = withTls(machine.port)
  const socket = openTls(proxy.port)
  const sent: Buffer[] = []
  socket.on('data', (chunk: Buffer) => sent.push(chunk))
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  const post = [[':method', 'POST'] as const, ...GET.slice(1), ['content-length', '5'] as const]
  socket.write(HELLO)
  socket.write(frame(1, 4, 1, block(post)))
  await pollUntil('the head', () => received.includes('\r\n\r\n'), DEADLINE)
  socket.write(frame(0, 0, 1, Buffer.from('GET /smuggled HTTP/1.1\r\n\r\n')))
  const wanted = Buffer.from('0000040300000000010000' + '0001', 'hex')
  await pollUntil('its reset', () => Buffer.concat(sent).includes(wanted), DEADLINE)
  await pollUntil('no request', () => proxy.serving.counters.requestsActive === 0, DEADLINE)
  assert.equal(received.slice(received.indexOf('\r\n\r\n') + 4), '')
  socket.destroy()
})

test('a head that stands still ends its connection, though requests are under way on it', async () => {
  await using machine = await startMachine((socket) => void socket.resume())
  await using proxy = withTls(machine.port, { headersReadMs: 300 })
  const socket = openTls(proxy.port)
  socket.on('error', () => undefined)
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.resume()
  await once(socket, 'secureConnect')
  socket.write(HELLO)
  socket.write(frame(1, 5, 1, block(GET)))
  await pollUntil('the request', () => proxy.serving.counters.requestsActive === 1, DEADLINE)
  socket.write(frame(1, 5, 3, block(GET)).subarray(0, 12))
  await closed
  assert.equal(proxy.serving.counters.faults.get('head-slow'), 1)
  assert.equal(proxy.serving.counters.requestsActive, 0)
})

test('a drain: what is under way is answered, and the connection ends', async () => {
  let answer: (() => void) | undefined
  await using machine = await startMachine((socket) => {
    socket.once('data', () => {
      answer = () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
  })
  await using proxy = withTls(machine.port)
  using client = openClient(proxy.port)
  const stream = request(client)
  const goaway = once(client, 'goaway')
  await pollUntil('the request', () => answer !== undefined, DEADLINE)
  const drained = proxy.serving.drain(20_000)
  await goaway
  answer?.()
  assert.equal(String(await bytesOf(stream)), 'ok')
  await drained
  assert.equal(proxy.serving.counters.connectionsOpen, 0)
})

test('an idle connection is told to go, and does', async () => {
  await using machine = await startMachine(answering('HTTP/1.1 204 No Content\r\n\r\n'))
  await using proxy = withTls(machine.port, { keepAliveIdleMs: 200, lingerMs: 200 })
  using client = openClient(proxy.port)
  const goaway = once(client, 'goaway')
  await once(request(client), 'response')
  const [code] = await goaway
  assert.equal(code, 0)
  await pollUntil('its end', () => proxy.serving.counters.connectionsOpen === 0, DEADLINE)
})

test('a WebSocket: much in both directions, and the end of each', async () => {
  const bytes = patterned(3 * MIB)
  await using machine = await startMachine((socket) => {
    socket.once('data', () => {
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: chat\r\n\r\n',
      )
      socket.on('data', (chunk) => {
        if (!socket.write(chunk)) socket.pause()
      })
      socket.on('drain', () => socket.resume())
      socket.once('end', () => socket.end())
    })
  })
  await using proxy = withTls(machine.port)
  using client = openClient(proxy.port)
  await once(client, 'remoteSettings')
  const stream = client.request({
    ...{ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/', ':scheme': 'https' },
    ':authority': 'a.test',
  })
  const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
  assert.deepEqual([head[':status'], head['sec-websocket-protocol']], [200, 'chat'])
  stream.end(bytes)
  assert((await bytesOf(stream)).equals(bytes))
  await pollUntil('no tunnel', () => proxy.serving.counters.tunnelsOpen === 0, DEADLINE)
  assert.equal(
    await once(request(client, { ':method': 'HEAD' }), 'response').then(() => 'served'),
    'served',
  )
})

test('curl, nghttp and h2load are served', { timeout: 120_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-h2-'))
  try {
    const body = patterned(MIB)
    await using machine = await startMachine((socket) => {
      let held = ''
      socket.on('data', (chunk: Buffer) => {
        held += chunk.toString('latin1')
        while (held.includes('\r\n\r\n')) {
          held = held.slice(held.indexOf('\r\n\r\n') + 4)
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`)
          socket.write(body)
        }
      })
    })
    await using proxy = withTls(machine.port)
    writeFileSync(join(folder, 'ca.pem'), certificate.chain)
    const url = `https://a.test:${proxy.port}/`
    const curl = [
      '--http2',
      '-sS',
      '--cacert',
      join(folder, 'ca.pem'),
      '--resolve',
      `a.test:${proxy.port}:127.0.0.1`,
    ]
    const output = join(folder, 'out')
    const { stdout } = await run('curl', [
      ...curl,
      '-o',
      output,
      '-w',
      '%{http_version} %{http_code} %{size_download}',
      url,
    ])
    assert.equal(stdout, `2 200 ${body.length}`)
    const ours = `https://127.0.0.1:${proxy.port}/`
    const nghttp = await run('nghttp', [
      '-nv',
      '--no-verify-peer',
      '-H',
      ':authority: a.test',
      ours,
    ]).catch((error: unknown) => error as { stdout: string })
    assert.match(nghttp.stdout, /recv \(stream_id=\d+\) :status: 200/)
    const load = await run(
      'h2load',
      ['-n200', '-c4', '-m8', `--connect-to=127.0.0.1:${proxy.port}`, url],
      { timeout: 60_000 },
    )
    assert.match(load.stdout, /200 done, 200 succeeded, 0 failed, 0 errored, 0 timeout/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
