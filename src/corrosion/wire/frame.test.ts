import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fc } from '#property'
import { WireError } from './errors.ts'
import { FrameReader } from './frame.ts'

function framed(payload: Uint8Array): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(payload.length)
  return Buffer.concat([head, payload])
}

function readAll(reader: FrameReader): Buffer[] {
  const payloads: Buffer[] = []
  for (let one = reader.next(); one !== undefined; one = reader.next())
    payloads.push(Buffer.from(one))
  return payloads
}

test('frames come out whole and in order, however their stream is cut into chunks', () => {
  const payloads = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 })
  const cuts = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(payloads, cuts, (sent, sizes) => {
      const stream = Buffer.concat(sent.map(framed))
      const reader = new FrameReader()
      const received: Buffer[] = []
      for (let at = 0, turn = 0; at < stream.length; turn += 1) {
        const size = sizes[turn % sizes.length] ?? 1
        reader.push(stream.subarray(at, at + size))
        received.push(...readAll(reader))
        at += size
      }
      assert.deepEqual(
        received,
        sent.map((one) => Buffer.from(one)),
      )
      assert.equal(reader.isInFrame, false)
      assert.equal(reader.heldBytes, 0)
    }),
  )
})

test('a frame beyond the limit is refused at its length, before its bytes', () => {
  const reader = new FrameReader(10)
  reader.push(framed(Buffer.alloc(10)))
  assert.equal(reader.next()?.length, 10)
  reader.push(Buffer.from('0000000b', 'hex'))
  assert.throws(
    () => reader.next(),
    (error) => error instanceof WireError && error.code === 'wire.frame_too_large',
  )
})

test('a large length that is only announced holds no memory', () => {
  const reader = new FrameReader(2 ** 31)
  reader.push(Buffer.from('7fffffff', 'hex'))
  reader.push(Buffer.alloc(100))
  assert.equal(reader.next(), undefined)
  assert(reader.heldBytes < 1_000)
  assert(reader.isInFrame)
})

test('a frame that came byte by byte was copied a few times, not once a byte', () => {
  const payload = Buffer.alloc(200_000, 7)
  const stream = framed(payload)
  const reader = new FrameReader()
  let heldMax = 0
  let whole: Uint8Array | undefined
  for (let at = 0; at < stream.length; at += 1) {
    reader.push(stream.subarray(at, at + 1))
    whole = reader.next()
    heldMax = Math.max(heldMax, reader.heldBytes)
  }
  assert.deepEqual(whole, payload)
  assert(heldMax <= 2 * payload.length)
})
