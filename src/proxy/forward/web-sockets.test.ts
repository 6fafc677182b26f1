import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import { connect, type Socket } from 'node:net'
import test from 'node:test'
import { connect as connectTls } from 'node:tls'
import { pollUntil } from '#base'
import { startMachine, startProxy } from '../proxy.fixture.ts'
import { certificatesFor, makeCertificate } from '../tls/certificate.fixture.ts'
import { WebSocketFarewell } from './web-socket-farewell.ts'

const GOING_AWAY = Buffer.from('880203e9', 'hex')
const DEADLINE = { deadlineMs: 20_000 }
const HEAD = 'Host: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

/** An unmasked binary frame. */
function frame(length: number): Buffer {
  const header =
    length < 126 ? Buffer.alloc(2) : length < 65_536 ? Buffer.alloc(4) : Buffer.alloc(10)
  header[0] = 0x82
  header[1] = length < 126 ? length : length < 65_536 ? 126 : 127
  if (header.length === 4) header.writeUInt16BE(length, 2)
  if (header.length === 10) header.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([header, Buffer.alloc(length, 'x')])
}

test('goodbye is said between two frames, wherever it becomes due and however the bytes are cut', () => {
  const masked = Buffer.concat([Buffer.from('81830a0b0c0d', 'hex'), Buffer.from('abc')])
  const frames = [frame(0), frame(5), masked, frame(126), frame(300), frame(0)]
  const stream = Buffer.concat(frames)
  const ends = frames.map((_, index) => Buffer.concat(frames.slice(0, index + 1)).length)
  for (const step of [1, 2, 3, 7, 100, stream.length]) {
    for (let dueAt = 0; dueAt <= stream.length; dueAt += step) {
      const farewell = new WebSocketFarewell()
      let passed = 0
      let said = 0
      for (let at = 0; at < stream.length; at += step) {
        if (at === dueAt) {
          farewell.begin()
          if (farewell.take() !== undefined) said += 1
        }
        const end = Math.min(stream.length, at + step)
        passed += farewell.pass(stream, at, end) - at
        if (farewell.take() !== undefined) said += 1
      }
      const wanted = dueAt === 0 ? 0 : ends.find((end) => end >= dueAt)
      if (dueAt >= stream.length) assert.deepEqual([passed, said], [stream.length, 0])
      else assert.deepEqual([passed, said], [wanted, 1], `due at ${dueAt}, step ${step}`)
    }
  }
})

/** Takes an upgrade, and keeps what comes afterwards. */
async function startWebSocketMachine() {
  const sockets: Socket[] = []
  const received: Buffer[] = []
  const machine = await startMachine((socket) => {
    socket.once('data', () => {
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      )
      sockets.push(socket)
      socket.on('data', (chunk: Buffer) => received.push(chunk))
      socket.once('end', () => socket.end())
    })
  })
  return { machine, sockets, received }
}

async function openWebSocket(port: number) {
  const client = connect(port, '127.0.0.1')
  const opened = { client, bytes: Buffer.alloc(0), hasEnded: false }
  client.on('data', (chunk: Buffer) => {
    opened.bytes = Buffer.concat([opened.bytes, chunk])
  })
  client.once('end', () => {
    opened.hasEnded = true
  })
  client.write(`GET /ws HTTP/1.1\r\n${HEAD}`)
  await pollUntil('101', () => opened.bytes.includes('\r\n\r\n'), DEADLINE)
  opened.bytes = opened.bytes.subarray(opened.bytes.indexOf('\r\n\r\n') + 4)
  return opened
}

test('a machine that goes away: its clients get a close frame behind the frame under way, and it their answer', async () => {
  const { machine, sockets, received } = await startWebSocketMachine()
  await using _machine = machine
  await using proxy = startProxy({ machines: [machine.port] })
  const opened = await openWebSocket(proxy.port)
  const message = frame(1000)
  sockets[0]?.write(message.subarray(0, 600))
  await pollUntil('half a frame', () => opened.bytes.length === 600, DEADLINE)
  assert.equal(proxy.serving.goAway('another'), 0)
  assert.equal(proxy.serving.goAway(`127.0.0.1:${machine.port}`), 1)
  sockets[0]?.write(Buffer.concat([message.subarray(600), frame(7)]))
  const wanted = Buffer.concat([message, GOING_AWAY])
  await pollUntil('the close frame', () => opened.bytes.length >= wanted.length, DEADLINE)
  assert.deepEqual(opened.bytes, wanted)
  const answer = Buffer.from('8882000000000003e9', 'hex')
  opened.client.write(answer)
  opened.client.end()
  await pollUntil(
    'the answer at the machine',
    () => Buffer.concat(received).equals(answer),
    DEADLINE,
  )
  await pollUntil('the end', () => opened.hasEnded, DEADLINE)
  await pollUntil('no tunnel', () => proxy.serving.counters.tunnelsOpen === 0, DEADLINE)
})

test('a client that does not answer is ended, in order', async () => {
  const { machine } = await startWebSocketMachine()
  await using _machine = machine
  await using proxy = startProxy({ machines: [machine.port], limits: { lingerMs: 50 } })
  const opened = await openWebSocket(proxy.port)
  proxy.serving.goAway(`127.0.0.1:${machine.port}`)
  await pollUntil('the end', () => opened.hasEnded, DEADLINE)
  assert.deepEqual(opened.bytes, GOING_AWAY)
})

test('at the end of a drain WebSockets get a close frame', async () => {
  const { machine } = await startWebSocketMachine()
  await using _machine = machine
  await using proxy = startProxy({ machines: [machine.port], limits: { lingerMs: 50 } })
  const opened = await openWebSocket(proxy.port)
  await proxy.serving.drain(0)
  await pollUntil('the end', () => opened.hasEnded, DEADLINE)
  assert.deepEqual(opened.bytes, GOING_AWAY)
})

test('HTTP/2: a WebSocket gets the close frame, too', async () => {
  const { machine } = await startWebSocketMachine()
  await using _machine = machine
  const certificate = makeCertificate('a.test')
  await using proxy = startProxy({
    machines: [machine.port],
    handlers: ['tls', 'http'],
    certificates: certificatesFor('a.test', certificate),
    limits: { lingerMs: 50 },
  })
  const client = http2.connect('https://a.test', {
    createConnection: () =>
      connectTls({
        ...{ port: proxy.port, host: '127.0.0.1', servername: 'a.test' },
        ...{ ca: certificate.chain, ALPNProtocols: ['h2'] },
      }),
  })
  await once(client, 'remoteSettings')
  const stream = client.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':authority': 'a.test',
    ':path': '/',
  })
  stream.on('error', () => undefined) // the proxy ends it
  const closed = new Promise((resolve) => stream.once('close', resolve))
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
  assert.equal(head[':status'], 200)
  assert.equal(proxy.serving.goAway(`127.0.0.1:${machine.port}`), 1)
  await pollUntil('the close frame', () => Buffer.concat(chunks).equals(GOING_AWAY), DEADLINE)
  await closed
  client.destroy()
})
