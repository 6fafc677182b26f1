import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import test from 'node:test'
import { pollUntil } from '#base'
import { answering, exchange, startMachine, startProxy } from '../proxy.fixture.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const closing = (fields = '') => `GET / HTTP/1.1\r\nHost: h\r\n${fields}Connection: close\r\n\r\n`
const MIB = 2 ** 20

async function open(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(100, count - sockets.length) }, () =>
      connect(port, '127.0.0.1'),
    )
    for (const socket of batch) socket.on('error', () => undefined)
    await Promise.all(batch.map((socket) => once(socket, 'connect')))
    sockets.push(...batch)
  }
  return sockets
}

test('slow heads are answered 408 and closed, while others are served', async () => {
  await using machine = await startMachine(answering(OK))
  await using proxy = startProxy({ machines: [machine.port], limits: { headersReadMs: 400 } })
  const slow = await open(proxy.port, 200)
  let answered = 0
  for (const socket of slow) {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (/^HTTP\/1\.1 408 /.test(text)) answered += 1
    })
    socket.write('GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ')
  }
  const drip = setInterval(() => {
    for (const socket of slow) if (socket.writable) socket.write('a')
  }, 50)
  try {
    assert.match(await exchange(proxy.port, closing()), /^HTTP\/1\.1 200 OK/)
    await pollUntil('all slow ones to be refused', () => answered === 200, { deadlineMs: 30_000 })
  } finally {
    clearInterval(drip)
    for (const socket of slow) socket.destroy()
  }
})

test('a body below the pace is ended', async () => {
  await using machine = await startMachine((socket) => void socket.resume())
  await using proxy = startProxy({
    machines: [machine.port],
    limits: { bodyGraceMs: 200, bodyBytesPerSecondMin: 1000 },
  })
  const answer = await exchange(
    proxy.port,
    'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nx',
  )
  assert.match(answer, /^HTTP\/1\.1 408 /)
})

test('heads without end are refused at the limit, many at once within the memory bound', async () => {
  await using machine = await startMachine(answering(OK))
  await using proxy = startProxy({ machines: [machine.port], limits: { bufferBytesMax: 8 * MIB } })
  const bomb = `GET / HTTP/1.1\r\nHost: h\r\n${`X-${'a'.repeat(1000)}: b\r\n`.repeat(60)}`
  const answers = await Promise.all(Array.from({ length: 50 }, () => exchange(proxy.port, bomb)))
  for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 431 |^$/)
  const held = await open(proxy.port, 600) // 600 x 30 KB wait: more than the bound
  for (const socket of held) socket.write(bomb.slice(0, 30_000))
  await pollUntil(
    'some to be dropped',
    () => (proxy.serving.counters.faults.get('memory') ?? 0) > 0,
    { deadlineMs: 20_000 },
  )
  for (const socket of held) socket.destroy()
  await pollUntil('them to be gone', () => proxy.serving.counters.connectionsOpen === 0, {
    deadlineMs: 20_000,
  })
  assert.match(await exchange(proxy.port, closing()), /^HTTP\/1\.1 200 OK/)
})

test('one address has its bound of connections, and gets them back', async () => {
  await using machine = await startMachine(answering(OK))
  await using proxy = startProxy({
    machines: [machine.port],
    limits: { connectionsPerAddressMax: 20 },
  })
  const flood = await open(proxy.port, 100)
  await pollUntil(
    'the rest to be refused',
    () => proxy.serving.counters.connectionsRefused === 80,
    { deadlineMs: 20_000 },
  )
  assert.equal(proxy.serving.counters.connectionsOpen, 20)
  for (const socket of flood) socket.destroy()
  await pollUntil('them to be gone', () => proxy.serving.counters.connectionsOpen === 0, {
    deadlineMs: 20_000,
  })
  assert.match(await exchange(proxy.port, closing()), /^HTTP\/1\.1 200 OK/)
})

test('a client that does not read holds its response back, not the proxy', async () => {
  const chunk = Buffer.alloc(MIB, 'x')
  let sent = 0
  await using machine = await startMachine((socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      const write = () => {
        while (sent < 512) {
          sent += 1
          if (
            !socket.write(`${chunk.length.toString(16)}\r\n`) ||
            !socket.write(chunk) ||
            !socket.write('\r\n')
          )
            return
        }
      }
      socket.on('drain', write)
      write()
    })
  })
  await using proxy = startProxy({ machines: [machine.port] })
  const [client] = (await open(proxy.port, 1)) as [Socket]
  client.pause()
  client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  let last = -1
  await pollUntil(
    'the machine to be held back',
    () => {
      const isStill = sent > 0 && sent === last
      last = sent
      return isStill
    },
    { deadlineMs: 20_000, intervalMs: 300 },
  )
  assert(sent < 100, `${sent} MB were taken for a client that does not read`)
  client.destroy()
})

const BODY_BYTES = 2 ** 30

test('1 GB passes both ways in constant memory', { timeout: 180_000 }, async () => {
  const piece = Buffer.alloc(256 << 10, 'y')
  let received = 0
  await using machine = await startMachine((socket) => {
    let head = ''
    let left = BODY_BYTES
    const answer = () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`)
      const write = () => {
        while (left > 0) {
          left -= piece.length
          if (!socket.write(piece)) return
        }
      }
      socket.on('drain', write)
      write()
    }
    socket.on('data', (chunk: Buffer) => {
      if (head === '') {
        const end = chunk.indexOf('\r\n\r\n')
        head = chunk.toString('latin1', 0, end)
        received = chunk.length - end - 4
      } else received += chunk.length
      if (received === BODY_BYTES) answer()
    })
  })
  await using proxy = startProxy({ machines: [machine.port] })
  const [client] = (await open(proxy.port, 1)) as [Socket]
  let came = 0
  let peakBytes = 0
  const startBytes = process.memoryUsage().rss
  const look = () => {
    peakBytes = Math.max(peakBytes, process.memoryUsage().rss)
  }
  client.on('data', (chunk: Buffer) => {
    came += chunk.length
    if (came % 64 === 0) look()
  })
  client.write(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`)
  let left = BODY_BYTES
  const write = () => {
    while (left > 0) {
      left -= piece.length
      if (!client.write(piece)) return
    }
  }
  client.on('drain', () => {
    look()
    write()
  })
  write()
  await pollUntil('the gigabyte to come back', () => came > BODY_BYTES, { deadlineMs: 170_000 })
  assert.equal(received, BODY_BYTES)
  // Both ends and the proxy live in this process: their buffers, not the bodies.
  assert(
    peakBytes - startBytes < 200 * MIB,
    `${Math.round((peakBytes - startBytes) / MIB)} MB more`,
  )
  client.destroy()
})

const UPGRADE = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

test('a tunnel whose one direction has ended does not stay for ever', async () => {
  await using machine = await startMachine((socket) => {
    socket.once('data', () =>
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      ),
    )
  })
  await using proxy = startProxy({ machines: [machine.port], limits: { halfClosedMs: 200 } })
  const [client] = (await open(proxy.port, 1)) as [Socket]
  client.write(UPGRADE)
  await once(client, 'data')
  client.end()
  await pollUntil('the tunnel to end', () => proxy.serving.counters.tunnelsOpen === 0, {
    deadlineMs: 20_000,
  })
})
