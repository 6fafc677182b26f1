import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import {
  type DatagramHead,
  DatagramKind,
  HEAD_BYTES_MAX,
  readHead,
  writeHead,
} from './datagram-frame.ts'
import { ipOf, ipText } from './endpoint.ts'
import { PACKET_HEAD_BYTES, readPacket, writePacketHead } from './ipv4-packet.ts'

const plain = { noNullPrototype: true }
const endpoints = fc.record(
  { ip: fc.nat({ max: 0xffff_ffff }), port: fc.nat({ max: 0xffff }) },
  plain,
)
const heads = fc.record(
  {
    kind: fc.constantFrom(...Object.values(DatagramKind)),
    client: endpoints,
    service: endpoints,
    machine: fc.stringMatching(/^[0-9a-f]{0,32}$/),
  },
  plain,
)

test('a datagram between proxies is read as it was written', () => {
  const property = fc.property(heads, fc.uint8Array({ maxLength: 100 }), (head, payload) => {
    const bytes = Buffer.alloc(HEAD_BYTES_MAX + payload.length)
    bytes.set(payload, HEAD_BYTES_MAX)
    const start = writeHead(bytes, HEAD_BYTES_MAX, head as DatagramHead)
    assert(start !== undefined)
    const read = readHead(bytes, start, bytes.length)
    assert.deepEqual(read, { ...head, payloadAt: HEAD_BYTES_MAX })
  })
  fc.assert(property)
})

test('what no proxy sends is refused, and an id that is too long has no room', () => {
  const property = fc.property(fc.uint8Array({ maxLength: 80 }), (noise) => {
    const read = readHead(Buffer.from(noise), 0, noise.length)
    if (read !== undefined) assert(read.payloadAt <= noise.length)
  })
  fc.assert(property)
  const head = { kind: DatagramKind.refused, client: END, service: END, machine: 'a'.repeat(33) }
  assert.equal(writeHead(Buffer.alloc(200), 100, head), undefined)
})

const END = { ip: ipOf('192.0.2.1'), port: 9 }

test('a packet to a machine is UDP over IPv4 with the ends and the payload that were given', () => {
  const property = fc.property(
    endpoints,
    endpoints,
    fc.uint8Array({ maxLength: 100 }),
    (from, to, payload) => {
      const bytes = Buffer.alloc(PACKET_HEAD_BYTES + payload.length, 0xee)
      bytes.set(payload, PACKET_HEAD_BYTES)
      const start = writePacketHead(bytes, PACKET_HEAD_BYTES, payload.length, { from, to })
      assert.equal(start, 0)
      assert.deepEqual(readPacket(bytes, 0, bytes.length), {
        ...{ from, to, payloadAt: PACKET_HEAD_BYTES, payloadBytes: payload.length },
      })
    },
  )
  fc.assert(property)
})

test('of what a guest sends, parts and lies about lengths are refused', () => {
  const property = fc.property(fc.uint8Array({ maxLength: 80 }), (noise) => {
    const read = readPacket(Buffer.from(noise), 0, noise.length)
    if (typeof read !== 'string') assert(read.payloadAt + read.payloadBytes <= noise.length)
  })
  fc.assert(property)
  const bytes = Buffer.alloc(PACKET_HEAD_BYTES + 4)
  writePacketHead(bytes, PACKET_HEAD_BYTES, 4, { from: END, to: END })
  bytes.writeUInt16BE(0x2000, 6) // more fragments
  assert.equal(readPacket(bytes, 0, bytes.length), 'fragment')
  bytes.writeUInt16BE(0, 6)
  bytes.writeUInt16BE(13, 24) // a byte more than is there
  assert.equal(readPacket(bytes, 0, bytes.length), 'malformed')
})

test('addresses are the same as text and as numbers', () => {
  for (const text of ['0.0.0.0', '172.19.0.3', '255.255.255.255'])
    assert.equal(ipText(ipOf(text)), text)
})
