import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { fc } from '#property'
import { AgentError } from './errors.ts'
import { encodeFrame, FrameReader, PAYLOAD_BYTES_MAX, PREAMBLE_BYTES } from './frame.ts'
import { decodeRecords, encodeRecords, type Rec } from './record.ts'

const fixture = join(import.meta.dirname, '../../../test/fixtures/guest/frames.txt')
const vectors = readFileSync(fixture, 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => line.split(' ') as [name: string, stream: string, expected: string])

/** "00ff,z5": hexadecimal digits, and runs of zeros. */
const bytesOf = (stream: string) =>
  Buffer.concat(
    stream
      .split(',')
      .map((token) =>
        token.startsWith('z') ? Buffer.alloc(Number(token.slice(1))) : Buffer.from(token, 'hex'),
      ),
  )

function read(bytes: Buffer, cut: number): string[] {
  const reader = new FrameReader()
  const found: string[] = []
  for (let at = 0; at < bytes.length; at += cut) {
    reader.push(bytes.subarray(at, at + cut))
    for (let parsed = reader.next(); parsed !== 'more'; parsed = reader.next()) {
      if (parsed === 'lost') found.push('lost')
      else {
        const { type, id, part, payload } = parsed
        found.push(`${type.toString(16).padStart(2, '0')}:${id}:${part}:${payload.toString('hex')}`)
      }
    }
  }
  return found
}

for (const [name, stream, expected] of vectors) {
  test(`both ends find the same frames: ${name}`, () => {
    const bytes = bytesOf(stream)
    for (const cut of [bytes.length, 1000, 7]) {
      assert.equal(read(bytes, cut).join(',') || '-', expected, `cut into pieces of ${cut}`)
    }
  })
}

const frames = fc.record(
  {
    type: fc.integer({ min: 0, max: 255 }),
    id: fc.integer({ min: 0, max: 65_535 }),
    part: fc.integer({ min: 0, max: 255 }),
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  },
  { noNullPrototype: true },
)

test('frames survive encode and decode, however the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(frames), fc.integer({ min: 1, max: 5000 }), (list, cut) => {
      const stream = Buffer.concat([Buffer.alloc(PREAMBLE_BYTES), ...list.map(encodeFrame)])
      const expected = list.map(
        ({ type, id, part, payload }) =>
          `${type.toString(16).padStart(2, '0')}:${id}:${part}:${payload.toString('hex')}`,
      )
      assert.deepEqual(read(stream, cut), expected)
    }),
    { numRuns: 50 },
  )
})

test('a session that begins after any cut of another finds its step again', () => {
  const frame = encodeFrame({
    ...{ type: 0x40, id: 1, part: 1, payload: Buffer.alloc(PAYLOAD_BYTES_MAX, 7) },
  })
  const hello = encodeFrame({ type: 1, id: 0, part: 0, payload: Buffer.alloc(0) })
  const preamble = Buffer.alloc(PREAMBLE_BYTES)
  const cuts = fc.integer({ min: 0, max: frame.length })
  fc.assert(
    fc.property(cuts, (cut) => {
      const bytes = Buffer.concat([preamble, frame.subarray(0, cut), preamble, hello])
      assert.equal(read(bytes, 4096).at(-1), '01:0:0:')
    }),
    { numRuns: 50 },
  )
})

test('records survive encode and decode', () => {
  const texts = fc.string().filter((one) => !one.includes('\0'))
  const records = fc.tuple(fc.integer({ min: 0, max: 65_535 }), texts, texts)
  fc.assert(
    fc.property(fc.array(records), (list) => {
      const decoded = decodeRecords(encodeRecords(list as Rec[]))
      assert.deepEqual(
        decoded.map(({ tag, texts: found }) => [tag, ...found]),
        list.map(([tag, ...given]) => [
          tag,
          ...given.map((one) => Buffer.from(one).toString()), // lone surrogates become U+FFFD
        ]),
      )
    }),
  )
})

test('any bytes give records or a typed error, and a text with a zero byte is refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        decodeRecords(Buffer.from(bytes))
      } catch (error) {
        assert(error instanceof AgentError)
      }
    }),
  )
  assert.throws(() => encodeRecords([[10, 'A=b\0c']]), { code: 'guest.value_bad' })
})
