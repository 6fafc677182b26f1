import assert from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { pollUntil, systemClock } from '#base'
import { PLACE, queryPacket, smallWorld } from '../fixture/world.ts'
import { type Handler, resolver } from '../resolver.ts'
import { RCODE, TYPE } from '../wire/constants.ts'
import { InternalZone } from '../zone/internal-zone.ts'
import { ClientLimits } from './client-limits.ts'
import { listenTcp } from './tcp.ts'
import { listenUdp } from './udp.ts'

const LOOPBACK = { address: '127.0.0.1', port: 0 }
const DEADLINE = { deadlineMs: 30_000 }
const rcodeOf = (packet: Buffer): number => packet.readUInt16BE(2) & 0xf
const framed = (packet: Buffer): Buffer => {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(packet.length)
  return Buffer.concat([length, packet])
}
const echo: Handler = (packet) => Buffer.from(packet)
const never: Handler = () => new Promise(() => undefined)

async function udpClient(): Promise<Socket> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return socket
}

test('a handler that throws or rejects costs its client a SERVFAIL, and nobody else anything', async () => {
  const faults: unknown[] = []
  const onFault = (error: unknown) => void faults.push(error)
  const bad: Handler = (packet) => {
    if (packet.length > 40) throw new Error('thrown')
    return Promise.reject(new Error('rejected'))
  }
  await using udp = await listenUdp(LOOPBACK, bad, { onFault })
  await using tcp = await listenTcp(LOOPBACK, bad, { onFault })
  const client = await udpClient()
  const socket = connect(tcp.port, '127.0.0.1')
  try {
    for (const name of ['a.internal', 'a.very.long.name.of.a.test.internal']) {
      const packet = queryPacket(name)
      client.send(packet, udp.port, '127.0.0.1')
      const [overUdp] = (await once(client, 'message')) as [Buffer]
      assert.deepEqual([rcodeOf(overUdp), overUdp.length], [RCODE.SERVFAIL, packet.length])
      socket.write(framed(packet))
      const [overTcp] = (await once(socket, 'data')) as [Buffer]
      assert.equal(rcodeOf(overTcp.subarray(2)), RCODE.SERVFAIL)
    }
    assert.deepEqual(faults.map(String).sort(), [
      'Error: rejected',
      'Error: rejected',
      'Error: thrown',
      'Error: thrown',
    ])
  } finally {
    client.close()
    socket.destroy()
  }
})

test('an asker over IPv4 is refused, as all that no network owns', () => {
  const directory = smallWorld()
  const callerOf = (source: string) => directory.callerOfSource(source)
  const handle = resolver({ zone: new InternalZone(directory, PLACE), callerOf })
  for (const source of ['192.0.2.1', '::ffff:192.0.2.1', 'fe80::1%eth0', '', 'nonsense']) {
    const reply = handle(queryPacket('web.internal'), source, 'udp')
    assert.ok(Buffer.isBuffer(reply))
    assert.equal(rcodeOf(reply), RCODE.REFUSED, source)
  }
})

test('a client has so many questions a second, all addresses of its /112 together', () => {
  let nowMs = 0
  const clock = { ...systemClock, monotonicMs: () => nowMs }
  const limits = new ClientLimits({ questionsPerSecond: 2, clock })
  const admitted = (source: string) => limits.admit(source) !== undefined
  assert.ok(admitted('fdaa:2:45b:a7b:174:1:1:2') && admitted('fdaa:2:45b:a7b:174:1:1:ffff'))
  assert.equal(admitted('fdaa:2:45b:a7b:174:1:1:3'), false)
  assert.ok(admitted('fdaa:2:45b:a7b:174:1:2:2') && admitted('192.0.2.1') && admitted('192.0.2.2'))
  assert.equal(limits.dropped, 1)
  nowMs = 1000
  assert.ok(admitted('fdaa:2:45b:a7b:174:1:1:3'))
})

test('a client that waits for more than its share of upstream answers gets SERVFAIL at once', async () => {
  const limits = new ClientLimits({ waitingMax: 3, clock: systemClock })
  await using udp = await listenUdp(LOOPBACK, never, { limits })
  const client = await udpClient()
  try {
    const replies: Buffer[] = []
    client.on('message', (reply) => void replies.push(reply))
    for (let at = 0; at < 5; at += 1) client.send(queryPacket('a.test'), udp.port, '127.0.0.1')
    await pollUntil('two refusals', () => replies.length === 2, DEADLINE)
    assert.deepEqual(replies.map(rcodeOf), [RCODE.SERVFAIL, RCODE.SERVFAIL])
  } finally {
    client.close()
  }
})

test('a TCP client has so many connections, and an idle one is closed', async () => {
  await using tcp = await listenTcp(LOOPBACK, echo, { connectionsPerClient: 2, idleMs: 2000 })
  const open = () => connect(tcp.port, '127.0.0.1').on('error', () => undefined)
  const kept = [open(), open()]
  await Promise.all(kept.map((socket) => once(socket, 'connect')))
  const third = open().resume()
  await once(third, 'close')
  for (const socket of kept) socket.resume()
  await Promise.all(kept.map((socket) => socket.destroyed || once(socket, 'close')))
  const again = open()
  again.write(framed(queryPacket('a.internal')))
  await once(again, 'data')
  again.destroy()
})

test('a TCP client that asks without end and waits is cut off', async () => {
  await using slow = await listenTcp(LOOPBACK, never)
  const asker = connect(slow.port, '127.0.0.1').on('error', () => undefined)
  for (let at = 0; at < 100; at += 1) asker.write(framed(queryPacket('a.test')))
  await once(asker.resume(), 'close')
})

test('a TCP client that never reads its answers is cut off', async () => {
  let answered = 0
  const big: Handler = () => {
    answered += 1
    return Buffer.alloc(65_535)
  }
  await using tcp = await listenTcp(LOOPBACK, big, { connectionsPerClient: 1 })
  const open = () => connect(tcp.port, '127.0.0.1').on('error', () => undefined)
  const deaf = open().pause()
  await once(deaf, 'connect')
  deaf.write(Buffer.concat(Array.from({ length: 2000 }, () => framed(queryPacket('a.test')))))
  await pollUntil('its first answer', () => answered > 0, DEADLINE)
  await pollUntil('room for the next connection', () => isAnswered(open()), DEADLINE)
  deaf.destroy()
  assert.ok(answered < 2000)
})

async function isAnswered(socket: ReturnType<typeof connect>): Promise<boolean> {
  socket.write(framed(queryPacket('a.test')))
  const isAnswered = await new Promise<boolean>((resolve) => {
    socket.once('data', () => resolve(true)).once('close', () => resolve(false))
  })
  socket.destroy()
  return isAnswered
}

test('64 KB pass a real TCP socket both ways, in pieces', async () => {
  const directory = smallWorld()
  const callerOf = () => directory.callerOfSource('fdaa:2:45b:a7b::2')
  const handle = resolver({ zone: new InternalZone(directory, PLACE), callerOf })
  await using tcp = await listenTcp(LOOPBACK, (packet, source, channel) =>
    packet.length === 65_535 && packet[2] === 0xff
      ? Buffer.from(packet)
      : handle(packet, source, channel),
  )
  const socket = connect(tcp.port, '127.0.0.1')
  let received = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
  })
  try {
    const huge = Buffer.alloc(65_535, 0xff)
    const bytes = Buffer.concat([framed(huge), framed(queryPacket('web.internal', TYPE.AAAA))])
    for (let at = 0; at < bytes.length; at += 9973) socket.write(bytes.subarray(at, at + 9973))
    const isWhole = () =>
      received.length > 65_539 && received.length === 65_539 + received.readUInt16BE(65_537)
    await pollUntil('both answers', isWhole, DEADLINE)
    assert.deepEqual(received.subarray(2, 65_537), huge)
    assert.deepEqual(received.subarray(65_539).readUInt16BE(6), 2)
    const hostile = Buffer.alloc(65_535, 0xc0)
    queryPacket('web.internal').copy(hostile)
    hostile.writeUInt16BE(65_535, 10)
    received = Buffer.alloc(0)
    socket.write(framed(hostile))
    await pollUntil('the refusal', () => received.length >= 14, DEADLINE)
    assert.equal(rcodeOf(received.subarray(2)), RCODE.FORMERR)
  } finally {
    socket.destroy()
  }
})
