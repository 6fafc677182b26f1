import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { test } from 'node:test'
import { generateClusterCa, generateServerCertificate } from '#trust'
import { parseSocketAddress } from '../wire/socket-address.ts'
import type { ClusterTls } from './quic-config.ts'
import {
  newClusterTls,
  newJoinedTls,
  openQuicWitness,
  openRelay,
  until,
} from './quic-witness.fixture.ts'
import { framed, transportContract } from './transport-contract.ts'

const ca = await generateClusterCa()
const tls = await newClusterTls(ca)
const joined = await newJoinedTls(ca)

const openWitness = (listen = '127.0.0.1:0', own: ClusterTls = tls) => openQuicWitness(listen, own)

transportContract('QUIC', async () => {
  const second = await openWitness('127.0.0.1:0', joined)
  const nodes = [await openWitness(), second, await openWitness()] as const
  const open = [...nodes]
  return {
    nodes,
    until,
    nobody: '127.0.0.1:9',
    async replace(index) {
      const old = open[index]
      assert(old !== undefined)
      await old.transport.close()
      const next = await openWitness(old.transport.address)
      open.push(next)
      return next
    },
    async close() {
      for (const { transport } of open) await transport.close()
    },
  }
})

test('QUIC: a node of another cluster is refused, whoever dials', async (context) => {
  const member = await openWitness()
  const stranger = await openWitness('127.0.0.1:0', await newClusterTls(await generateClusterCa()))
  context.after(() => Promise.all([member.transport.close(), stranger.transport.close()]))
  for (const [from, to] of [
    [member, stranger],
    [stranger, member],
  ] as const) {
    const { address } = to.transport
    from.transport.sendDatagram(address, Buffer.from('x'))
    from.transport.sendUni(address, framed('x'))
    const speak = async () => {
      const session = await from.transport.openBi(address)
      await session.send(framed('x'))
      await session.receive()
    }
    await assert.rejects(speak(), { code: 'transport.peer_refused' })
    assert.equal(to.datagrams.length + to.frames.length + to.sessions.length, 0)
    assert.equal(to.transport.counters.connectionsOpened, 0)
  }
})

test('QUIC: one of the own CA whose certificate is only for clients cannot answer', async (context) => {
  const member = await openWitness()
  const impostor = await openWitness('127.0.0.1:0', { ...tls, server: tls.client })
  context.after(() => Promise.all([member.transport.close(), impostor.transport.close()]))
  const opening = member.transport.openBi(impostor.transport.address)
  await assert.rejects(opening, { code: 'transport.peer_refused' })
})

test('QUIC: who answers must be named in its certificate', async (context) => {
  const member = await openWitness()
  const moved = await openWitness('127.0.0.1:0', await sameCaOtherName())
  context.after(() => Promise.all([member.transport.close(), moved.transport.close()]))
  const opening = member.transport.openBi(moved.transport.address)
  await assert.rejects(opening, { code: 'transport.peer_refused' })
})

async function sameCaOtherName(): Promise<ClusterTls> {
  return { ...tls, server: await generateServerCertificate(ca, { names: ['127.0.0.99'] }) }
}

test('QUIC: garbage at the port is ignored and counted, and members go on', async (context) => {
  const [a, b] = [await openWitness(), await openWitness()]
  const socket = createSocket('udp4')
  context.after(() => {
    socket.close()
    return Promise.all([a.transport.close(), b.transport.close()])
  })
  const port = parseSocketAddress(a.transport.address)?.port ?? 0
  const texts = ['', 'GET / HTTP/1.1\r\n\r\n', '\x00'.repeat(40), 'x'.repeat(1_400)]
  const heads = [0x00, 0x40, 0x7f, 0x80, 0xc0, 0xc3, 0xff]
  const packets = [
    ...texts.map((text) => Buffer.from(text)),
    ...heads.flatMap((head) =>
      [1, 20, 60, 1_300].map((bytes) =>
        Buffer.concat([Buffer.of(head, 0, 0, 0, 1), randomBytes(bytes)]),
      ),
    ),
  ]
  for (const packet of packets) socket.send(packet, port, '127.0.0.1')
  await until('the garbage was seen', () => {
    return a.transport.counters.packetsReceived >= packets.length
  })
  assert(a.transport.counters.packetsIgnored >= packets.length - 8)
  b.transport.sendUni(a.transport.address, framed('still there'))
  await until('a member is heard', () => a.frames.length === 1)
})

test('QUIC: a node reaches one that dialled it through the same connection, IPv6 too', async (context) => {
  for (const listen of ['127.0.0.1:0', '[::1]:0']) {
    const [a, b] = [await openWitness(listen), await openWitness(listen)]
    context.after(() => Promise.all([a.transport.close(), b.transport.close()]))
    a.transport.sendUni(b.transport.address, framed('there'))
    await until('it is heard', () => b.frames.length === 1)
    b.transport.sendUni(a.transport.address, framed('and back'))
    await until('the answer is heard', () => a.frames.length === 1)
    assert.equal(a.frames[0]?.from, b.transport.address)
    assert.equal(a.transport.counters.connectionsOpened, 1)
    assert.equal(b.transport.counters.connectionsOpened, 1)
    assert(
      a.transport.sendDatagram(b.transport.address.replace('::1', '0:0::0:1'), Buffer.from('x')),
    )
    await until('another form of the address is the same peer', () => b.datagrams.length === 1)
    assert.equal(a.transport.counters.connectionsOpened, 1)
    assert(Number(a.transport.rttMs(b.transport.address)) < 1_000)
  }
})

test('QUIC: after kill -9 the next life of a peer is reached again, without a word from it', async (context) => {
  const a = await openWitness()
  const first = await startChild('127.0.0.1:0')
  context.after(async () => {
    await a.transport.close()
    first.child.kill('SIGKILL')
  })
  a.transport.sendUni(first.address, framed('one'))
  await until('the first life answers', () => a.frames.some(({ text }) => text === 'echo one'))
  const exited = once(first.child, 'exit')
  first.child.kill('SIGKILL')
  await exited
  const second = await startChild(first.address)
  context.after(() => second.child.kill('SIGKILL'))
  assert.equal(second.address, first.address)
  await until('the second life answers', () => {
    a.transport.sendUni(second.address, framed('two'))
    return a.frames.some(({ text }) => text === 'echo two')
  })
})

async function startChild(listen: string) {
  const child = fork(new URL('echo-node.fixture.ts', import.meta.url), {
    execPath: process.execPath,
  })
  child.send({ listen, tls })
  const [message] = (await once(child, 'message')) as [{ address: string }]
  return { child, address: message.address }
}

test('QUIC: a member whose stream holds no frames loses that stream, and nothing else', async (context) => {
  const [a, b] = [await openWitness(), await openWitness()]
  context.after(() => Promise.all([a.transport.close(), b.transport.close()]))
  const { address } = b.transport
  a.transport.sendUni(address, Buffer.from('ffffffff', 'hex'))
  await until('the stream is refused', () => b.transport.counters.streamsRefused === 1)
  await until('a frame of the next connection is heard', () => {
    a.transport.sendUni(address, framed('sorry'))
    return b.frames.length > 0
  })
  const session = await a.transport.openBi(address)
  await session.send(Buffer.from('ffffffff', 'hex'))
  await until('the session is accepted', () => b.sessions.length === 1)
  const reading = b.sessions[0]?.receive() ?? Promise.resolve()
  await assert.rejects(reading, { code: 'wire.frame_too_large' })
  await assert.rejects(session.receive(), { code: 'transport.session_reset' })
})

test('QUIC: addresses that are none, and certificates that are none, are refused by name', async (context) => {
  for (const listen of ['', 'localhost:1', '127.0.0.1', '192.0.2.1:0']) {
    await assert.rejects(openWitness(listen), { code: 'transport.address_bad' }, listen)
  }
  const bad = { ...tls, server: { certificatePem: 'none', privateKeyPem: 'none' } }
  await assert.rejects(openWitness('127.0.0.1:0', bad), { code: 'transport.certificate_bad' })
  const a = await openWitness()
  context.after(() => a.transport.close())
  assert.equal(a.transport.sendDatagram('nonsense', Buffer.from('x')), false)
  await assert.rejects(a.transport.openBi('nonsense'), { code: 'transport.address_bad' })
})

test('QUIC: where one packet in ten is lost, frames and sessions still arrive whole', async (context) => {
  const [a, b] = [await openWitness(), await openWitness()]
  let count = 0
  const relay = await openRelay(b.transport.address, () => ++count % 10 !== 0)
  context.after(async () => {
    await Promise.all([a.transport.close(), b.transport.close()])
    relay.close()
  })
  const texts = Array.from({ length: 300 }, (_, at) => `${at}:${'x'.repeat(at * 3)}`)
  for (const text of texts) assert(a.transport.sendUni(relay.address, framed(text)))
  await until('all frames are there', () => b.frames.length === texts.length)
  assert.deepEqual(
    b.frames.map(({ text }) => text),
    texts,
  )
  const session = await a.transport.openBi(relay.address)
  const sending = session.send(framed('y'.repeat(400_000)), { deadlineMs: 20_000 })
  await until('the session is accepted', () => b.sessions.length === 1)
  const payload = await b.sessions[0]?.receive({ deadlineMs: 20_000 })
  await sending
  assert.equal(payload?.length, 400_000)
})
