import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { DatagramReader, datagramFrame, STREAM_MAGIC } from './datagram-stream.ts'

const magic = Buffer.alloc(4)
magic.writeUInt32BE(STREAM_MAGIC)

test('datagrams come out whole and in order, wherever the pieces of their stream end', () => {
  const datagrams = fc.array(fc.uint8Array({ minLength: 1, maxLength: 2_000 }), { maxLength: 8 })
  const cuts = fc.array(fc.nat(3_000), { maxLength: 20 })
  fc.assert(
    fc.property(datagrams, cuts, (sent, sizes) => {
      const quiet = Buffer.alloc(4)
      const frames = sent.flatMap((one) => [quiet, datagramFrame(Buffer.from(one))])
      let stream = Buffer.concat([magic, ...frames])
      const reader = new DatagramReader({ awaitsMagic: true })
      const seen: Buffer[] = []
      for (const size of [...sizes, stream.length]) {
        seen.push(...reader.push(stream.subarray(0, size)))
        stream = stream.subarray(size)
      }
      assert.deepEqual(
        seen,
        sent.map((one) => Buffer.from(one)),
      )
    }),
    { seed: 7, numRuns: 200 },
  )
})

test('another beginning and a length above 2,000 are refused', () => {
  const read = (bytes: Buffer) => new DatagramReader({ awaitsMagic: true }).push(bytes)
  assert.throws(() => read(Buffer.from('GET / HTTP/1.1')), { code: 'net6.stream_bad' })
  assert.throws(() => read(Buffer.concat([magic, Buffer.from([0, 0, 7, 0xd1])])), {
    code: 'net6.stream_bad',
  })
  assert.deepEqual(read(Buffer.concat([magic, Buffer.from([0, 0, 7, 0xd0])])), [])
})
