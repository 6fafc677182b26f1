import assert from 'node:assert/strict'
import test from 'node:test'
import { decode, encode } from '@msgpack/msgpack'
import { fc } from '#property'
import { decodeText, encodeText, showText } from './byte-text.ts'
import { MacaroonError } from './errors.ts'
import { parseExactJson, printExactJson } from './exact-json.ts'
import { NESTING_MAX } from './limits.ts'
import { wireInteger } from './wire-integer.ts'
import { WireReader } from './wire-reader.ts'
import { WireWriter } from './wire-writer.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

function written(write: (writer: WireWriter) => void): Buffer {
  const writer = new WireWriter()
  write(writer)
  return writer.finish()
}

const refused = (code: string) => (error: unknown) =>
  error instanceof MacaroonError && error.code === code

// biome-ignore format: a table of the fact that each boundary has one form
const integerForms: readonly (readonly [bigint, string])[] = [
  [127n, '7f'], [128n, 'cc80'], [256n, 'cd0100'], [65536n, 'ce00010000'],
  [2n ** 32n, 'cf0000000100000000'], [2n ** 64n - 1n, 'cfffffffffffffffff'],
  [2n ** 53n, 'cf0020000000000000'], [2n ** 53n - 1n, 'cf001fffffffffffff'],
  [-1n, 'ff'], [-32n, 'e0'], [-33n, 'd0df'], [-128n, 'd080'], [-129n, 'd1ff7f'],
  [-32769n, 'd2ffff7fff'], [-(2n ** 31n) - 1n, 'd3ffffffff7fffffff'],
  [-(2n ** 63n), 'd38000000000000000'],
]

test('each integer has one form, the shortest', () => {
  for (const [value, form] of integerForms) {
    const integer = wireInteger(value)
    assert.equal(written((writer) => writer.writeInteger(integer)).toString('hex'), form)
    const reader = new WireReader(hex(form))
    const read = value < 2n ** 63n ? reader.readSigned() : reader.readUnsigned()
    assert.equal(read, integer)
  }
})

test('other forms of an integer are refused', () => {
  const longer = ['cc7b', 'cd00ff', 'ce0000ffff', 'cf00000000ffffffff', 'd07b', 'd0ff', 'd0e0']
  for (const form of [
    ...longer,
    'd1ff80',
    'd2ffff8000',
    'd3ffffffff80000000',
    'cb405ec00000000000',
  ]) {
    assert.throws(() => new WireReader(hex(form)).readSigned(), refused('macaroon.malformed'), form)
  }
  assert.throws(() => new WireReader(hex('ff')).readUnsigned(), refused('macaroon.malformed'))
  assert.throws(
    () => new WireReader(hex('cf8000000000000000')).readSigned(),
    refused('macaroon.malformed'),
  )
})

test('text and bytes change their header at the same lengths as in Go', () => {
  const texts = [
    [31, 'bf'],
    [32, 'd920'],
    [256, 'da0100'],
    [65536, 'db00010000'],
  ] as const
  for (const [length, head] of texts) {
    const bytes = written((writer) => writer.writeText('a'.repeat(length)))
    assert.equal(bytes.subarray(0, -length).toString('hex'), head)
    assert.equal(new WireReader(bytes).readText().length, length)
  }
  const binaries = [
    [0, 'c400'],
    [255, 'c4ff'],
    [256, 'c50100'],
    [65536, 'c600010000'],
  ] as const
  for (const [length, head] of binaries) {
    const bytes = written((writer) => writer.writeBytes(Buffer.alloc(length)))
    assert.equal(bytes.subarray(0, bytes.length - length).toString('hex'), head)
    assert.equal(new WireReader(bytes).readBytes().length, length)
  }
})

test('arrays and maps of 15 have short headers, of 16 long ones, and no other is accepted', () => {
  assert.equal(written((writer) => writer.writeArrayHeader(15)).toString('hex'), '9f')
  assert.equal(written((writer) => writer.writeArrayHeader(16)).toString('hex'), 'dc0010')
  assert.equal(written((writer) => writer.writeMapHeader(15)).toString('hex'), '8f')
  assert.equal(written((writer) => writer.writeMapHeader(16)).toString('hex'), 'de0010')
  assert.throws(
    () => new WireReader(hex('dc0001 00')).readArrayHeader(),
    refused('macaroon.malformed'),
  )
  assert.throws(
    () => new WireReader(hex('de0001 00 00')).readMapHeader(),
    refused('macaroon.malformed'),
  )
})

test('a header that claims more than the bytes left is truncated, before anything is reserved', () => {
  for (const head of ['ddfffffffe', 'dfffffffff', 'c6ffffffff', 'dbffffffff', '9f', '8f', 'c4ff']) {
    for (const read of ['readLooseArrayHeader', 'skipValue', 'readLooseBytes'] as const) {
      assert.throws(() => new WireReader(hex(head))[read](), MacaroonError, `${head} ${read}`)
    }
    assert.throws(() => new WireReader(hex(head)).skipValue(), refused('macaroon.truncated'))
  }
})

test('what a general encoder writes is passed as one value', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const bytes = encode(value)
      const reader = new WireReader(bytes)
      reader.skipValue()
      assert.equal(reader.offset, bytes.length)
    }),
  )
})

test('what we write, a general decoder reads', () => {
  const scalars = fc.record({
    id: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    text: fc.string({ unit: 'binary' }),
    bytes: fc.uint8Array(),
    flag: fc.boolean(),
  })
  fc.assert(
    fc.property(scalars, ({ id, text, bytes, flag }) => {
      const packed = written((writer) => {
        writer.writeArrayHeader(4)
        writer.writeInteger(wireInteger(id))
        writer.writeText(text)
        writer.writeBytes(bytes)
        writer.writeBoolean(flag)
      })
      const [gotId, ...rest] = decode(Uint8Array.from(packed), { useBigInt64: true }) as [
        bigint,
        ...unknown[],
      ]
      assert.equal(BigInt(gotId), id)
      assert.deepEqual(rest, [text.toWellFormed(), bytes, flag])
    }),
  )
})

test('values nested beyond the limit are refused, up to it they pass', () => {
  const nested = (depth: number) => Buffer.concat([Buffer.alloc(depth, 0x91), Buffer.of(0)])
  new WireReader(nested(NESTING_MAX)).skipValue()
  assert.throws(
    () => new WireReader(nested(NESTING_MAX + 1)).skipValue(),
    refused('macaroon.over_limit'),
  )
})

test('any bytes survive as text, and text that differs has bytes that differ', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      assert.deepEqual(encodeText(decodeText(bytes)), Buffer.from(bytes))
    }),
  )
  assert.equal(showText(decodeText(hex('61ff62'))), 'a\ufffdb')
  assert.equal(decodeText(Buffer.from('～😀')), '～😀')
  assert.notEqual(decodeText(hex('ff')), decodeText(hex('fe')))
})

test('JSON integers beyond 2^53 pass exactly, both ways', () => {
  const text = '{"id":18446744073709551615,"small":7,"float":1.5,"text":"9007199254740993"}'
  const value = parseExactJson(text, 'macaroon.bad_access')
  assert.deepEqual(value, {
    id: 2n ** 64n - 1n,
    small: 7,
    float: 1.5,
    text: '9007199254740993',
  })
  assert.equal(printExactJson(value), text)
  assert.throws(
    () => parseExactJson('{', 'macaroon.bad_access'),
    (error: unknown) => error instanceof MacaroonError && error.code === 'macaroon.bad_access',
  )
})
