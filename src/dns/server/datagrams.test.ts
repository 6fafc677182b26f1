import assert from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { test } from 'node:test'
import { pollUntil } from '#base'
import type { Handler } from '../resolver.ts'
import { DATAGRAM_BYTES, DatagramSocket } from './datagrams.ts'
import { socketAddress } from './socket-address.ts'
import { listenUdp } from './udp.ts'

const DEADLINE = { deadlineMs: 30_000 }
const FAMILIES = [
  { address: '127.0.0.1', type: 'udp4' },
  { address: '::1', type: 'udp6' },
] as const

async function client(type: 'udp4' | 'udp6', address: string): Promise<Socket> {
  const socket = createSocket(type)
  await new Promise<void>((resolve) => socket.bind(0, address, resolve))
  return socket
}

test('of many questions that wait at once each client gets the replies to its own, over IPv4 and IPv6', async () => {
  for (const { address, type } of FAMILIES) {
    const sources = new Set<string>()
    const handle: Handler = (packet, source) => {
      sources.add(source)
      const isLate = packet[1] === 1
      const reply = Buffer.from(packet)
      return isLate ? Promise.resolve(reply) : reply
    }
    await using udp = await listenUdp({ address, port: 0 }, handle)
    const clients = await Promise.all(Array.from({ length: 3 }, () => client(type, address)))
    try {
      const got = clients.map(() => new Set<number>())
      for (const [at, socket] of clients.entries()) {
        socket.on('message', (reply, { port }) => {
          assert.deepEqual([reply[0], port], [at, udp.port])
          got[at]?.add(reply.readUInt16BE(1))
        })
      }
      for (let id = 0; id < 100; id += 1) {
        for (const [at, socket] of clients.entries()) {
          const packet = Buffer.alloc(12 + id * 5, id)
          packet[0] = at
          packet.writeUInt16BE(id + (id % 7 === 0 ? 256 : 0), 1)
          socket.send(packet, udp.port, address)
        }
      }
      await pollUntil('all replies', () => got.every(({ size }) => size === 100), DEADLINE)
      assert.deepEqual([...sources], [address])
    } finally {
      for (const socket of clients) socket.close()
    }
  }
})

test('a reply that the kernel refuses is counted and keeps no other from its way', async () => {
  using socket = new DatagramSocket({ address: '127.0.0.1', port: 0 })
  const asker = await client('udp4', '127.0.0.1')
  try {
    const got: string[] = []
    asker.on('message', (reply) => void got.push(reply.toString('latin1')))
    const to = socketAddress({ address: '127.0.0.1', port: asker.address().port }).bytes
    const nowhere = socketAddress({ address: '127.0.0.1', port: 0 }).bytes // EINVAL
    const sent = Array.from({ length: 40 }, (_, at) => `reply ${at}`)
    socket.queue(Buffer.from('x'), nowhere)
    for (const [at, text] of sent.entries()) {
      socket.queue(Buffer.from(text), to)
      if (at % 10 === 0) socket.queue(Buffer.from('x'), nowhere)
    }
    socket.queue(Buffer.from('x'), nowhere)
    socket.flush()
    await pollUntil('all others', () => got.length === sent.length, DEADLINE)
    assert.deepEqual([got, socket.unsent], [sent, 6])
  } finally {
    asker.close()
  }
})

test('of a datagram longer than any question the rest is not read', async () => {
  const lengths: number[] = []
  const handle: Handler = (packet) => {
    lengths.push(packet.length)
    return packet
  }
  await using udp = await listenUdp({ address: '127.0.0.1', port: 0 }, handle)
  const asker = await client('udp4', '127.0.0.1')
  try {
    asker.send(Buffer.alloc(60_000), udp.port, '127.0.0.1')
    asker.send(Buffer.alloc(20), udp.port, '127.0.0.1')
    await pollUntil('both', () => lengths.length === 2, DEADLINE)
    assert.deepEqual(lengths, [DATAGRAM_BYTES, 20])
  } finally {
    asker.close()
  }
})

test('an address that is taken, or of nobody here, cannot be listened on', async () => {
  await using udp = await listenUdp({ address: '127.0.0.1', port: 0 }, (packet) => packet)
  const taken = { address: '127.0.0.1', port: udp.port }
  const foreign = { address: '2001:db8::53', port: 0 }
  for (const at of [taken, foreign]) {
    await assert.rejects(
      listenUdp(at, (packet) => packet),
      { code: 'dns.listen_failed' },
    )
  }
})
