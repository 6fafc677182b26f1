import assert from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import test, { type TestContext } from 'node:test'
import { createLog, pollUntil, seededRandom, systemClock } from '#base'
import { EventLoop } from '../net/event-loop.ts'
import { close } from '../net/libc.ts'
import { openDatagramSocket } from '../net/socket.ts'
import { Counters } from '../observe/counters.ts'
import { TableFixture } from '../routing-table/table.fixture.ts'
import { DATAGRAM_BYTES_MAX } from './datagram-frame.ts'
import { datagram, MARGIN_BYTES } from './datagram-socket.ts'
import { Datagrams } from './datagrams.ts'
import { ipText } from './endpoint.ts'
import { readPacket, writePacketHead } from './ipv4-packet.ts'
import type { OpenMachineWire } from './machine-wire.ts'

const SERVICE = '127.0.0.5'
const MESH = { h1: '127.0.0.1', h2: '127.0.0.2' } as const
const log = createLog({ part: 'proxy', level: 'fatal' })

/** A machine that answers `<client> <what it got>`, behind what stands for its link. */
const echoing: OpenMachineWire = (_loop, answered) => ({
  send(memory, start, length) {
    const packet = readPacket(memory.bytes, start, length)
    assert(typeof packet !== 'string')
    const { from, to, payloadAt, payloadBytes } = packet
    const got = memory.bytes.toString('latin1', payloadAt, payloadAt + payloadBytes)
    const says = got === 'large' ? 'x'.repeat(DATAGRAM_BYTES_MAX + 1) : got
    setImmediate(() => {
      const text = says.length > 100 ? says : `${ipText(from.ip)}:${from.port} ${says}`
      const at = MARGIN_BYTES + 28
      datagram.bytes.write(text, at, 'latin1')
      const ends = { from: to, to: from }
      const begin = writePacketHead(datagram.bytes, at, text.length, ends)
      const segmentBytes = got === 'parts' ? 10 : 0
      answered({ start: begin, length: at + text.length - begin, machine: 'm1', segmentBytes })
    })
    return true
  },
  close: () => undefined,
})

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, SERVICE)
  await once(socket, 'listening')
  const { port } = socket.address()
  await new Promise<void>((resolve) => socket.close(() => resolve()))
  return port
}

/** The edge `h1`, and the worker `h2` with machine `m1`. */
async function twoHosts(t: TestContext, machineHost: 'h1' | 'h2' = 'h2') {
  const opened = new DisposableStack()
  t.after(() => opened.dispose())
  const [port, meshPort] = [await freeUdpPort(), await freeUdpPort()]
  const loop = opened.use(
    new EventLoop((error) => {
      throw error
    }),
  )
  const open = (own: 'h1' | 'h2') => {
    const rows = new TableFixture(own).host('h1', 'ams').host('h2', 'fra').app('a')
    for (const [id, backhaul_ip] of Object.entries(MESH)) {
      rows.table.put('hosts', { id, region: id, state: 'ready', backhaul_ip, is_edge: 1 }, 0)
    }
    rows.ip(SERVICE, 'a')
    const service = { protocol: 'udp', internal_port: port }
    rows.machine('m1', 'a', machineHost, { ports: [{ port }], service })
    const counters = new Counters()
    const datagrams = opened.use(
      new Datagrams({
        ...{ loop, table: rows.table, counters, log, clock: systemClock, openWire: echoing },
        ...{ random: seededRandom(1), mesh: { address: MESH[own], port: meshPort } },
      }),
    )
    return { rows, counters, datagrams }
  }
  const [edge, worker] = [open('h1'), open('h2')]
  const fd = openDatagramSocket(SERVICE, port)
  opened.defer(() => void close(fd))
  edge.datagrams.listen(fd)
  const client = createSocket('udp4').bind(0, '127.0.0.6')
  await once(client, 'listening')
  opened.defer(() => void client.close())
  return { edge, worker, port, meshPort, client, own: `127.0.0.6:${client.address().port}` }
}

/** What comes to a socket, and from where; asked again, as UDP may lose things. */
async function ask(client: Socket, text: string, port: number): Promise<string> {
  const got: string[] = []
  const listener = (bytes: Buffer, from: { address: string; port: number }) =>
    got.push(`${from.address}:${from.port} ${bytes.toString('latin1')}`)
  client.on('message', listener)
  const again = setInterval(() => client.send(text, port, SERVICE), 500)
  try {
    client.send(text, port, SERVICE)
    await pollUntil('an answer', () => got.length > 0, { deadlineMs: 20_000 })
  } finally {
    clearInterval(again)
    client.off('message', listener)
  }
  return got[0] ?? ''
}
const dropped = (counters: Counters, reason: string) =>
  pollUntil(reason, () => (counters.datagramDrops.get(reason) ?? 0) > 0, { deadlineMs: 20_000 })

test('a machine of another host sees the client, and its answer leaves from the address that was asked', async (t) => {
  const { edge, worker, client, port, own } = await twoHosts(t)
  assert.equal(await ask(client, 'hello', port), `${SERVICE}:${port} ${own} hello`)
  assert(edge.counters.datagramsIn >= 1 && edge.counters.datagramsOut >= 1)
  assert.equal(worker.counters.datagramsOut, 0, 'it has no clients')
  const full = 'y'.repeat(DATAGRAM_BYTES_MAX - 30)
  assert.equal(await ask(client, full, port), `${SERVICE}:${port} ${full}`)
})

test('a machine of the edge itself is reached without the mesh', async (t) => {
  const { client, port, own } = await twoHosts(t, 'h1')
  assert.equal(await ask(client, 'hello', port), `${SERVICE}:${port} ${own} hello`)
})

test('what is too large is dropped and counted, in both directions', async (t) => {
  const { edge, worker, client, port } = await twoHosts(t)
  client.send('z'.repeat(DATAGRAM_BYTES_MAX + 1), port, SERVICE)
  await dropped(edge.counters, 'too_large')
  client.send('z'.repeat(9_000), port, SERVICE)
  client.send('large', port, SERVICE)
  await dropped(worker.counters, 'too_large')
  assert.equal(edge.counters.datagramsOut, 0)
})

test('what a container sends in segments reaches the client as so many datagrams', async (t) => {
  const { client, port, own } = await twoHosts(t)
  const parts: string[] = []
  client.on('message', (bytes: Buffer) => parts.push(bytes.toString('latin1')))
  client.send('parts', port, SERVICE)
  const text = `${own} parts`
  await pollUntil('all parts', () => parts.join('').length >= text.length, { deadlineMs: 20_000 })
  assert.deepEqual(parts, text.match(/.{1,10}/g))
})

test('a worker that does not have the machine refuses', async (t) => {
  const { edge, worker, client, port } = await twoHosts(t)
  worker.rows.change('m1', { state: 'stopped' })
  client.send('hello', port, SERVICE)
  await dropped(edge.counters, 'refused')
  worker.rows.change('m1', { state: 'started' })
  assert.match(await ask(client, 'again', port), / again$/)
})

test('on the mesh nobody is heard but proxies of known hosts', async (t) => {
  const { edge, client, meshPort, port, own } = await twoHosts(t)
  client.send('anything', meshPort, MESH.h1)
  await dropped(edge.counters, 'unknown_host')
  assert.equal(await ask(client, 'hello', port), `${SERVICE}:${port} ${own} hello`)
})
