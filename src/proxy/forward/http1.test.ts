import assert from 'node:assert/strict'
import { connect } from 'node:net'
import test from 'node:test'
import { pollUntil } from '#base'
import { answering, exchange, startMachine, startProxy } from '../proxy.fixture.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const get = (path: string, fields = '') => `GET ${path} HTTP/1.1\r\nHost: h\r\n${fields}\r\n`
const closing = (path: string, fields = '') => get(path, `${fields}Connection: close\r\n`)

test('pipelined requests are answered in order, over one connection to the machine', async () => {
  let connections = 0
  await using machine = await startMachine((socket) => {
    connections += 1
    answering((head) => `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${head.slice(4, 6)}`)(socket)
  })
  await using proxy = startProxy({ machines: [machine.port] })
  const answer = await exchange(proxy.port, get('/1') + get('/2') + closing('/3'))
  assert.deepEqual(answer.match(/\r\n\r\n\/\d/g), ['\r\n\r\n/1', '\r\n\r\n/2', '\r\n\r\n/3'])
  assert.equal(connections, 1)
})

test('a request cut at every byte is the same request', async () => {
  await using machine = await startMachine(answering(OK))
  await using proxy = startProxy({ machines: [machine.port] })
  const request = closing('/x', 'X-A: 1\r\n')
  for (let cut = 1; cut < request.length; cut += 3) {
    const socket = connect(proxy.port, '127.0.0.1')
    socket.setNoDelay(true)
    let answer = ''
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1')
    })
    socket.write(request.slice(0, cut))
    const accepted = proxy.serving.counters.bytesIn
    await pollUntil(
      'the first part',
      () => proxy.serving.counters.bytesIn >= Math.min(accepted, cut),
      { deadlineMs: 10_000 },
    )
    socket.write(request.slice(cut))
    await new Promise((resolve) => socket.once('close', resolve))
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nok$/, `cut at ${cut}`)
  }
})

test('chunked bodies pass both ways, with trailers for clients that take them', async () => {
  let received = ''
  await using machine = await startMachine((socket) => {
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      if (received.endsWith('0\r\nX-Sum: 9\r\n\r\n')) {
        socket.end(
          'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2;ext\r\nab\r\n1\r\nc\r\n0\r\nX-T: 1\r\nFly-Region: x\r\n\r\n',
        )
      }
    })
  })
  await using proxy = startProxy({ machines: [machine.port] })
  const body = '3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 9\r\nContent-Length: 4\r\n\r\n'
  const answer = await exchange(
    proxy.port,
    closing('/', 'Transfer-Encoding: chunked\r\nTE: trailers\r\n') + body,
  )
  assert.match(received, /Transfer-Encoding: chunked\r\n/)
  assert.match(received, /\r\n\r\n5\r\nabcde\r\n0\r\nX-Sum: 9\r\n\r\n$/)
  assert.match(answer, /\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n$/)
  received = ''
  const plain = await exchange(proxy.port, closing('/', 'Transfer-Encoding: chunked\r\n') + body)
  assert.match(plain, /3\r\nabc\r\n0\r\n\r\n$/)
})

test('a body that ends with its connection is chunked for HTTP/1.1, and ends the connection of HTTP/1.0', async () => {
  await using machine = await startMachine((socket) => {
    socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nhello'))
  })
  await using proxy = startProxy({ machines: [machine.port] })
  assert.match(
    await exchange(proxy.port, closing('/')),
    /Transfer-Encoding: chunked\r\n[\s\S]*\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/,
  )
  const old = await exchange(proxy.port, 'GET / HTTP/1.0\r\nHost: h\r\n\r\n')
  assert.doesNotMatch(old, /chunked/)
  assert.match(old, /Connection: close\r\n\r\nhello$/)
})

test('HEAD, 204 and 304 have no body, and the connection goes on', async () => {
  await using machine = await startMachine(
    answering((head) =>
      head.startsWith('HEAD')
        ? 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n'
        : head.includes('/204')
          ? 'HTTP/1.1 204 No\r\n\r\n'
          : 'HTTP/1.1 304 Same\r\nContent-Length: 7\r\n\r\n',
    ),
  )
  await using proxy = startProxy({ machines: [machine.port] })
  const answer = await exchange(
    proxy.port,
    `HEAD / HTTP/1.1\r\nHost: h\r\n\r\n${get('/204')}${closing('/304')}`,
  )
  assert.deepEqual(answer.match(/HTTP\/1\.1 \d+/g), [
    'HTTP/1.1 200',
    'HTTP/1.1 204',
    'HTTP/1.1 304',
  ])
  assert.match(answer, /Content-Length: 500/)
})

test('100 Continue and early hints come before the answer; HTTP/1.0 does not see them', async () => {
  await using machine = await startMachine(
    answering(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    ),
  )
  await using proxy = startProxy({ machines: [machine.port] })
  const answer = await exchange(proxy.port, closing('/', 'Expect: 100-continue\r\n'))
  assert.match(
    answer,
    /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 103 Early Hints\r\nLink: <\/a>\r\n\r\nHTTP\/1\.1 200 OK\r\n/,
  )
  assert.match(await exchange(proxy.port, 'GET / HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 OK/)
})

test('a WebSocket passes, each direction ends by itself', async () => {
  await using machine = await startMachine((socket) => {
    socket.once('data', (head: Buffer) => {
      assert.match(head.toString('latin1'), /Connection: Upgrade\r\nUpgrade: websocket\r\n/)
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst',
      )
      let said = ''
      socket.on('data', (chunk: Buffer) => {
        said += chunk.toString('latin1')
      })
      socket.once('end', () => socket.end(`you said ${said}`))
    })
  })
  await using proxy = startProxy({ machines: [machine.port] })
  const answer = await exchange(
    proxy.port,
    `${get('/', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')}early`,
    { ends: true },
  )
  assert.match(answer, /^HTTP\/1\.1 101 [\s\S]*\r\n\r\nfirstyou said early$/)
})

test('a pooled connection that died is replaced without the client noticing; a POST on it is not sent twice', async () => {
  let connections = 0
  let isDying = false
  await using machine = await startMachine((socket) => {
    connections += 1
    socket.on('data', () => {
      if (isDying) {
        isDying = false
        socket.resetAndDestroy()
      } else socket.write(OK)
    })
  })
  await using proxy = startProxy({ machines: [machine.port] })
  const client = (text: string) => exchange(proxy.port, text)
  assert.match(await client(closing('/')), /200 OK/)
  isDying = true
  assert.match(await client(closing('/')), /200 OK/)
  assert.equal(connections, 2)
  isDying = true
  const post = 'POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi'
  assert.match(await client(post), /^HTTP\/1\.1 502 /)
  assert.equal(connections, 2)
})

test('a machine that refuses is passed over for another', async () => {
  const gone = await startMachine(() => undefined)
  const { port } = gone
  await gone[Symbol.asyncDispose]()
  await using machine = await startMachine(answering(OK))
  await using proxy = startProxy({ machines: [port, machine.port] })
  const post = 'POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi'
  for (let index = 0; index < 4; index += 1)
    assert.match(await exchange(proxy.port, post), /200 OK|HTTP\/1\.1 200/)
  assert(proxy.serving.counters.retries > 0)
})

// biome-ignore format: a table
for (const [what, response] of [
  ['speaks no HTTP', 'SSH-2.0-x\r\nxxxxxxxxxxxxx\r\n'],
  ['sends two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
  ['says nothing', ''],
  ['upgrades unasked', 'HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'],
] as const) {
  test(`a machine that ${what} is a bare 502`, async () => {
    await using machine = await startMachine((socket) => void socket.once('data', () => socket.end(response)))
    await using proxy = startProxy({ machines: [machine.port] })
    const answer = await exchange(proxy.port, closing('/'))
    assert.match(answer, /^HTTP\/1\.1 502 Bad Gateway\r\nServer: [^\r]+\r\nVia: 1\.1 fly\.io\r\nFly-Request-Id: [0-9A-Z]{26}-tst\r\nDate: /)
    assert.equal(proxy.serving.counters.faults.get('PU02'), 1)
  })
}

test('a response that breaks off is a reset for the client, never a whole one', async () => {
  await using machine = await startMachine(
    (socket) =>
      void socket.once('data', () =>
        socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel'),
      ),
  )
  await using proxy = startProxy({ machines: [machine.port] })
  assert.doesNotMatch(await exchange(proxy.port, get('/')), /0\r\n\r\n$/)
})

test('force_https redirects without asking a machine', async () => {
  await using proxy = startProxy({ machines: [], forceHttps: true })
  assert.match(
    await exchange(proxy.port, closing('/p?q')),
    /^HTTP\/1\.1 301 [\s\S]*Location: https:\/\/h\/p\?q\r\n/,
  )
})

test('a client that goes away frees its machine at once', async () => {
  let hasClosed = false
  await using machine = await startMachine((socket) => {
    socket.once('data', () => undefined)
    socket.once('close', () => {
      hasClosed = true
    })
  })
  await using proxy = startProxy({ machines: [machine.port] })
  const socket = connect(proxy.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(get('/'))
  await pollUntil('the request', () => proxy.serving.counters.requestsActive === 1, {
    deadlineMs: 10_000,
  })
  await pollUntil('its connection', () => proxy.serving.counters.backendsOpen === 1, {
    deadlineMs: 10_000,
  })
  socket.resetAndDestroy()
  await pollUntil('the machine to be freed', () => hasClosed, { deadlineMs: 10_000 })
  assert.equal(proxy.serving.counters.requestsActive, 0)
})

test('an early answer to an upload ends the connection, and the client still reads it', async () => {
  await using machine = await startMachine(
    (socket) =>
      void socket.once('data', () =>
        socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n'),
      ),
  )
  await using proxy = startProxy({ machines: [machine.port], limits: { lingerMs: 500 } })
  const answer = await exchange(
    proxy.port,
    `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(1000)}`,
  )
  assert.match(answer, /^HTTP\/1\.1 413 [\s\S]*Connection: close\r\n/)
})

test('who reads slowly gets the last answer of a connection whole', async () => {
  const body = 'x'.repeat(1 << 20)
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  await using machine = await startMachine(answering(answer))
  await using proxy = startProxy({ machines: [machine.port], limits: { lingerMs: 50 } })
  const client = connect(proxy.port, '127.0.0.1')
  client.pause()
  client.write(closing('/'))
  const { counters } = proxy.serving
  await pollUntil('the end of its wait', () => counters.connectionsClosed === 1, {
    deadlineMs: 20_000,
  })
  const chunks: Buffer[] = []
  for await (const chunk of client) chunks.push(chunk as Buffer)
  const got = Buffer.concat(chunks).toString('latin1')
  assert(got.endsWith(`\r\n\r\n${body}`), `${got.length} bytes of ${body.length} and a head`)
})

test('the access log has a line of JSON for each request of the sample', async () => {
  const lines: string[] = []
  await using machine = await startMachine(answering(OK))
  await using proxy = startProxy({
    machines: [machine.port],
    accessLog: (text) => lines.push(text),
  })
  await exchange(proxy.port, closing('/logged?x=1'))
  await pollUntil('the line', () => lines.length > 0, { deadlineMs: 10_000 })
  const entry = JSON.parse(lines[0] ?? '')
  assert.deepEqual(
    [entry.app, entry.method, entry.target, entry.status, entry.host],
    ['app', 'GET', '/logged?x=1', 200, 'h'],
  )
})

test('draining ends idle connections, lets requests finish, and says that it closes', async () => {
  let answer: (() => void) | undefined
  await using machine = await startMachine((socket) => {
    socket.on('data', (chunk: Buffer) => {
      if (chunk.includes('/slow')) answer = () => socket.write(OK)
      else socket.write(OK)
    })
  })
  await using proxy = startProxy({ machines: [machine.port] })
  let idleAnswer = ''
  const idle = exchange(proxy.port, get('/'), {
    until: (received) => {
      idleAnswer = received
      return false
    },
  })
  const busy = exchange(proxy.port, get('/slow'))
  const young = connect(proxy.port, '127.0.0.1')
  await pollUntil('the requests', () => answer !== undefined && idleAnswer.endsWith('ok'), {
    deadlineMs: 10_000,
  })
  await pollUntil('three connections', () => proxy.serving.counters.connectionsOpen === 3, {
    deadlineMs: 10_000,
  })
  const drained = proxy.serving.drain(20_000)
  assert.match(await idle, /ok$/)
  answer?.()
  assert.match(await busy, /^HTTP\/1\.1 200 OK[\s\S]*Connection: close\r\n/)
  let first = ''
  young.on('data', (chunk: Buffer) => {
    first += chunk.toString('latin1')
  })
  young.write(get('/'))
  await new Promise((resolve) => young.once('end', resolve))
  assert.match(first, /^HTTP\/1\.1 200 OK[\s\S]*Connection: close\r\n/)
  young.destroy()
  await drained
})

test('every answer of the proxy itself has an id of its own, also where no machine was asked', async () => {
  await using machine = await startMachine(answering(OK))
  await using proxy = startProxy({ machines: [machine.port], forceHttps: true })
  const answers = [
    await exchange(
      proxy.port,
      'GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    ),
    await exchange(proxy.port, 'nonsense\r\n\r\n'),
  ].join('')
  const ids = [...answers.matchAll(/\r\nfly-request-id: ([0-9A-Z]{26}-tst)\r\n/gi)].map(
    ([, id]) => id,
  )
  assert.equal(ids.length, 3, answers)
  assert.equal(new Set(ids).size, 3)
})

test('the answer to an HTTP-01 challenge goes before the app and before force_https', async () => {
  await using machine = await startMachine(answering(OK))
  await using proxy = startProxy({
    machines: [machine.port],
    forceHttps: true,
    certificates: {
      find: () => undefined,
      challenge: () => undefined,
      httpAnswer: (name, token) => (name === 'a.test' && token === 'tok' ? 'tok.print' : undefined),
    },
  })
  const ask = (host: string, token: string) =>
    exchange(
      proxy.port,
      `GET /.well-known/acme-challenge/${token} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    )
  assert.match(await ask('a.test', 'tok'), /^HTTP\/1.1 200 OK\r\n.*\r\n\r\ntok\.print$/s)
  assert.match(await ask('a.test', 'other'), /^HTTP\/1.1 301/)
  assert.match(await ask('b.test', 'tok'), /^HTTP\/1.1 301/)
})

test('behind a balancer the client is whom its PROXY header names, and nobody is believed without one', async () => {
  const heads: string[] = []
  await using machine = await startMachine(
    answering((head) => {
      heads.push(head)
      return OK
    }),
  )
  await using proxy = startProxy({ machines: [machine.port], proxyProtocolFrom: ['127.0.0.0/8'] })
  const get = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
  const told = 'PROXY TCP6 2001:DB8:0:0::7 2001:db8::1 4000 443\r\n'
  assert.match(await exchange(proxy.port, told + get), /^HTTP\/1.1 200/)
  assert.match(heads[0] ?? '', /\r\nFly-Client-IP: 2001:db8::7\r\n/)
  assert.equal(await exchange(proxy.port, get), '')
  assert.equal(proxy.serving.counters.connectionsRefused, 1)
  await pollUntil('both gone', () => proxy.serving.counters.connectionsOpen === 0, {
    deadlineMs: 30_000,
  })
})
