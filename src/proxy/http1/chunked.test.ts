import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { ChunkedDecoder, writeChunkSize } from './chunked.ts'
import { cleanTrailer } from './trailer.ts'

/** Decodes pieces; gives the data, the trailer, and what was left over. */
function decode(pieces: readonly Buffer[]) {
  const decoder = new ChunkedDecoder()
  const data: Buffer[] = []
  let rest = Buffer.alloc(0)
  for (const piece of pieces) {
    const bytes = Buffer.from(piece)
    if (decoder.isDone) {
      rest = Buffer.concat([rest, bytes])
      continue
    }
    const count = decoder.decode(bytes, 0, bytes.length)
    if (count < 0) return { fault: count }
    data.push(Buffer.from(bytes.subarray(0, count)))
    rest = Buffer.concat([rest, bytes.subarray(decoder.consumed)])
  }
  return {
    data: Buffer.concat(data).toString('latin1'),
    isDone: decoder.isDone,
    trailer: decoder.trailer?.toString('latin1'),
    rest: rest.toString('latin1'),
  }
}
const whole = (text: string) => decode([Buffer.from(text, 'latin1')])

test('chunks, extensions and trailers are taken apart, and what follows is left', () => {
  assert.deepEqual(whole('5;a="b"\r\nhello\r\n00006\r\n world\r\n0\r\nX: 1\r\n\r\nGET'), {
    data: 'hello world',
    isDone: true,
    trailer: 'X: 1\r\n\r\n',
    rest: 'GET',
  })
})

test('a body cut at every place is the same body', () => {
  const bytes = Buffer.from('5\r\nhello\r\nA;x\r\n0123456789\r\n0\r\nTr: ail\r\nEr: 2\r\n\r\nrest')
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    for (let second = cut; second <= bytes.length; second += 7) {
      const pieces = [bytes.subarray(0, cut), bytes.subarray(cut, second), bytes.subarray(second)]
      assert.deepEqual(decode(pieces), whole(bytes.toString('latin1')), `cut at ${cut}, ${second}`)
    }
  }
  assert.deepEqual(
    decode([...bytes].map((octet) => Buffer.of(octet))),
    whole(bytes.toString('latin1')),
  )
})

for (const text of [
  '\r\n',
  '-5\r\nhello\r\n',
  '+5\r\nhello\r\n',
  '0x5\r\nhello\r\n',
  ' 5\r\nhello\r\n',
  '5 \r\nhello\r\n',
  '5 ;a\r\nhello\r\n',
  '5\nhello\r\n',
  '5\r\nhello\n',
  '5\r\nhelloX',
  '5\r\nhello\rX',
  '5;a\nhello\r\n',
  '5;a\0\r\nhello\r\n',
  '5\rXhello',
  'g\r\n',
  '00000000000005\r\nhello\r\n',
  `1;${'a'.repeat(5000)}\r\n`,
]) {
  test(`${JSON.stringify(text.slice(0, 30))} is no chunk`, () => {
    assert('fault' in whole(text))
  })
}

test('chunks written by the proxy decode to the data', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 5 }),
      (chunks) => {
        const pieces: Buffer[] = []
        for (const chunk of chunks) {
          const bytes = Buffer.alloc(16 + chunk.length + 2)
          bytes.set(chunk, 16)
          bytes.write('\r\n', 16 + chunk.length)
          pieces.push(bytes.subarray(writeChunkSize(bytes, 16, chunk.length)))
        }
        const result = decode([Buffer.concat([...pieces, Buffer.from('0\r\n\r\n')])])
        assert.equal(result.data, Buffer.concat(chunks).toString('latin1'))
        assert.equal(result.isDone, true)
      },
    ),
  )
})

test('a trailer brings no framing, routing or identity', () => {
  const section =
    'Content-Length: 5\r\nX-Sum: 1\r\nHost: b\r\nFly-Client-IP: 6.6.6.6\r\nfly_region: x\r\n\r\n'
  assert.equal(cleanTrailer(Buffer.from(section))?.toString(), 'X-Sum: 1\r\n\r\n')
  assert.equal(cleanTrailer(Buffer.from('Host: b\r\n\r\n')), undefined)
  assert.equal(typeof cleanTrailer(Buffer.from('a b: 1\r\n\r\n')), 'number')
})
