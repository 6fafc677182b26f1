import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import test from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { pollUntil } from '#base'
import { frame } from '../http2/connection.fixture.ts'
import { Flag, PREFACE, Type } from '../http2/frame.ts'
import { answering, startMachine, startProxy, type TestProxy } from '../proxy.fixture.ts'
import { certificatesFor, makeCertificate } from '../tls/certificate.fixture.ts'
import type { ProxyLimits } from './limits.ts'

const certificate = makeCertificate('a.test')
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const DEADLINE = { deadlineMs: 30_000 }
const MIB = 2 ** 20

const openTls = (port: number) =>
  connect({
    ...{ port, host: '127.0.0.1', servername: 'a.test', ca: certificate.chain },
    ALPNProtocols: ['h2'],
  })

/** A connection that has said its preface, and what becomes of it. */
async function openRaw(port: number): Promise<{ socket: TLSSocket; isClosed: () => boolean }> {
  const socket = openTls(port)
  let isClosed = false
  socket.on('error', () => undefined)
  socket.once('close', () => {
    isClosed = true
  })
  await once(socket, 'secureConnect')
  socket.write(PREFACE)
  socket.write(frame(Type.settings, 0, 0))
  return { socket, isClosed: () => isClosed }
}

const withTls = (machine: number, limits: Partial<ProxyLimits> = {}): TestProxy =>
  startProxy({
    ...{ machines: [machine], handlers: ['tls', 'http'], limits },
    certificates: certificatesFor('a.test', certificate),
  })

/** One request on a connection of its own. @returns the status */
async function status(port: number, headers = {}, body?: Buffer): Promise<number> {
  const client = http2.connect('https://a.test', { createConnection: () => openTls(port) })
  client.on('error', () => undefined)
  const all = { ':path': '/', ':authority': 'a.test', ...headers }
  const stream = client.request(all, { endStream: body === undefined })
  stream.on('error', () => undefined)
  if (body !== undefined) stream.write(body)
  const [response] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
  client.destroy()
  return Number(response[':status'])
}

test('HTTP/2: a head that never ends costs its own connection alone', async () => {
  await using machine = await startMachine(answering(OK))
  await using proxy = withTls(machine.port, { keepAliveIdleMs: 400, lingerMs: 100 })
  const { socket, isClosed } = await openRaw(proxy.port)
  socket.resume()
  socket.write(frame(Type.headers, 0, 1, Buffer.from([0x82, 0x87, 0x84])))
  assert.equal(await status(proxy.port), 200)
  await pollUntil('the end of it', isClosed, DEADLINE)
  await pollUntil('no connection', () => proxy.serving.counters.connectionsOpen === 0, DEADLINE)
})

test('HTTP/2: a body below the pace is answered 408, one of gRPC may be silent', async () => {
  await using machine = await startMachine((socket) => void socket.resume())
  await using proxy = withTls(machine.port, {
    ...{ bodyGraceMs: 200, bodyBytesPerSecondMin: 1_000, exchangeIdleMs: 1_500 },
  })
  const post = { ':method': 'POST' }
  assert.equal(await status(proxy.port, post, Buffer.from('x')), 408)
  assert.equal(proxy.serving.counters.faults.get('body-slow'), 1)
  const grpc = { ...post, 'content-type': 'application/grpc' }
  assert.equal(await status(proxy.port, grpc, Buffer.from('x')), 504, 'by its silence')
  assert.equal(proxy.serving.counters.faults.get('body-slow'), 1)
})

test('HTTP/2: a small head that unpacks to megabytes reaches no machine', async () => {
  let asked = 0
  await using machine = await startMachine((socket) => {
    asked += 1
    answering(OK)(socket)
  })
  await using proxy = withTls(machine.port)
  const { socket } = await openRaw(proxy.port)
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  // RFC 7541: a field of 4,000 octets goes into the dynamic table, then one octet each repeats it.
  const value = Buffer.alloc(4_000, 'a')
  const field = Buffer.concat([Buffer.from([0x40, 0x01, 0x78, 0x7f, 0xa1, 0x1e]), value])
  const bomb = Buffer.alloc(12_000, 0xbe)
  const path = Buffer.from([0x82, 0x87, 0x84, 0x41, 0x06, ...Buffer.from('a.test')])
  const before = process.memoryUsage().rss
  socket.write(
    frame(Type.headers, Flag.endHeaders | Flag.endStream, 1, Buffer.concat([path, field, bomb])),
  )
  // RST_STREAM of stream 1: ENHANCE_YOUR_CALM.
  const calmed = Buffer.from('0000040300000000010000000b', 'hex')
  await pollUntil('the end of its stream', () => Buffer.concat(received).includes(calmed), DEADLINE)
  assert.equal(await status(proxy.port), 200)
  assert.equal(asked, 1, 'for who asked properly')
  assert(process.memoryUsage().rss - before < 32 * MIB)
  socket.destroy()
})

test('HTTP/2: who asks for answers without end and reads none is ended', async () => {
  await using machine = await startMachine(answering(OK))
  await using proxy = withTls(machine.port)
  const { socket, isClosed } = await openRaw(proxy.port)
  socket.pause()
  const pings = Buffer.concat(
    Array.from({ length: 1_000 }, () => frame(Type.ping, 0, 0, Buffer.alloc(8))),
  )
  const before = process.memoryUsage().rss
  const flood = () => {
    while (!socket.destroyed && socket.write(pings));
  }
  socket.on('drain', flood)
  flood()
  await pollUntil(
    'its end',
    () => isClosed() || socket.destroyed || proxy.serving.counters.connectionsOpen === 0,
    DEADLINE,
  )
  assert.equal(await status(proxy.port), 200)
  assert(process.memoryUsage().rss - before < 64 * MIB)
  socket.destroy()
})
