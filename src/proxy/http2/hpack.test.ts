import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { HeadWriter } from '../http1/head-writer.ts'
import { DynamicTable, TABLE_BYTES } from './dynamic-table.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import { HpackEncoder, writeInteger } from './hpack-encoder.ts'
import { codeLengths, decodeHuffman } from './huffman.ts'

type Fields = [name: string, value: string][]

function decode(decoder: HpackDecoder, block: Buffer): Fields | false {
  const fields: Fields = []
  const isFine = decoder.decode(block, 0, block.length, {
    field(name, nameStart, nameEnd, value, valueStart, valueEnd) {
      const text = (bytes: Uint8Array, start: number, end: number) =>
        Buffer.from(bytes.subarray(start, end)).toString('latin1')
      fields.push([text(name, nameStart, nameEnd), text(value, valueStart, valueEnd)])
    },
  })
  return isFine && fields
}

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')

const request: Fields = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'www.example.com'],
]
const requests: Fields[] = [
  request,
  [...request, ['cache-control', 'no-cache']],
  [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/index.html'],
    [':authority', 'www.example.com'],
    ['custom-key', 'custom-value'],
  ],
]
const redirected = (status: string): Fields => [
  [':status', status],
  ['cache-control', 'private'],
  ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
  ['location', 'https://www.example.com'],
]
const responses: Fields[] = [
  redirected('302'),
  redirected('307'),
  [
    [':status', '200'],
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
    ['location', 'https://www.example.com'],
    ['content-encoding', 'gzip'],
    ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
  ],
]
/** The examples of the responses are for a table of 256 octets. */
const SMALL_TABLE = '3fe101'

/** RFC 7541, appendices C.3 to C.6. */
const examples: [name: string, blocks: string[], fields: Fields[]][] = [
  [
    'requests',
    [
      '828684410f7777772e6578616d706c652e636f6d',
      '828684be58086e6f2d6361636865',
      '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
    ],
    requests,
  ],
  [
    'requests, packed',
    [
      '828684418cf1e3c2e5f23a6ba0ab90f4ff',
      '828684be5886a8eb10649cbf',
      '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
    ],
    requests,
  ],
  [
    'responses',
    [
      `${SMALL_TABLE}4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a3231
       20474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d`,
      '4803333037c1c0bf',
      `88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d41
       53444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b20766572
       73696f6e3d31`,
    ],
    responses,
  ],
  [
    'responses, packed',
    [
      `${SMALL_TABLE}488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad
       171863c78f0b97c8e9ae82ae43d3`,
      '4883640effc1c0bf',
      `88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd
       5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007`,
    ],
    responses,
  ],
]

for (const [name, blocks, fields] of examples) {
  test(`the examples of RFC 7541: ${name}`, () => {
    const decoder = new HpackDecoder()
    for (const [index, block] of blocks.entries())
      assert.deepEqual(decode(decoder, hex(block)), fields[index])
  })
}

/** The codes of RFC 7541, appendix B, which are canonical. */
function pack(text: Buffer): Buffer {
  const order = [...codeLengths.keys()].sort(
    (one, other) => (codeLengths[one] ?? 0) - (codeLengths[other] ?? 0) || one - other,
  )
  const codes = new Map<number, string>()
  let code = 0n
  let before = 0
  for (const symbol of order) {
    const length = codeLengths[symbol] ?? 0
    code <<= BigInt(length - before)
    codes.set(symbol, code.toString(2).padStart(length, '0'))
    code += 1n
    before = length
  }
  let bits = [...text].map((octet) => codes.get(octet)).join('')
  bits += '1'.repeat((8 - (bits.length % 8)) % 8)
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2)))
}

test('packed strings are unpacked, whatever is in them', () => {
  const target = Buffer.alloc(4096)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (text) => {
      const packed = pack(Buffer.from(text))
      const end = decodeHuffman(packed, 0, packed.length, target, 3)
      assert.deepEqual(Buffer.from(target.subarray(3, end)), Buffer.from(text))
    }),
  )
})

test('a packed string that ends with other bits than ones, with too many, or with the code of the end is none', () => {
  const target = Buffer.alloc(64)
  for (const bad of ['18', 'ffff', '1fff', 'ffffffff', 'ffffffffff', '00'])
    assert.equal(decodeHuffman(hex(bad), 0, hex(bad).length, target, 0), -1, bad)
  assert.equal(decodeHuffman(hex('1f'), 0, 1, target, 0), 1) // 'a', and three ones
})

test('what is no block is refused: indices, sizes and lengths that are none', () => {
  for (const bad of [
    '80',
    'be',
    'ff',
    '7f',
    '4001',
    '400161',
    '40026101',
    '3fe21f',
    '8220',
    'ffffffffffff0f',
    '0f',
  ])
    assert.equal(decode(new HpackDecoder(), hex(bad)), false, bad)
})

test('no octets at all make the decoder throw or hang', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }), (blocks) => {
      const decoder = new HpackDecoder()
      for (const block of blocks) if (decode(decoder, Buffer.from(block)) === false) break
    }),
    { numRuns: 2000 },
  )
})

const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/)
const value = fc.stringMatching(/^[\x20-\x7e]{0,80}$/)
const block = fc.array(
  fc.record({
    field: fc.oneof(
      fc.tuple(token, value),
      fc.constantFrom<[string, string]>(
        ['content-type', 'text/html'],
        ['set-cookie', 'a=1'],
        ['x-large', 'y'.repeat(3000)],
        ['via', '1.1 here'],
      ),
    ),
  }),
  { maxLength: 30 },
)

test('what the encoder writes the decoder reads, over many blocks and sizes of the table', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(block, fc.option(fc.nat(5000))), { minLength: 1, maxLength: 12 }),
      (blocks) => {
        const encoder = new HpackEncoder()
        const decoder = new HpackDecoder()
        for (const [fields, size] of blocks) {
          const out = new HeadWriter(Buffer.alloc(256 << 10))
          if (size !== null) encoder.resize(size)
          encoder.begin(out)
          encoder.status(out, 418)
          for (const { field } of fields) {
            const [name, text] = field.map((one) => Buffer.from(one)) as [Buffer, Buffer]
            encoder.field(out, name, 0, name.length, text, 0, text.length)
          }
          const got = decode(decoder, Buffer.from(out.bytes.subarray(0, out.at)))
          assert.deepEqual(got, [[':status', '418'], ...fields.map(({ field }) => field)])
        }
      },
    ),
  )
})

test('what is said a second time is an index from the third time on; names lose their capitals; cookies are not kept', () => {
  const encoder = new HpackEncoder()
  const write = (name: string, text: string) => {
    const out = new HeadWriter(Buffer.alloc(256))
    encoder.begin(out)
    encoder.field(out, Buffer.from(name), 0, name.length, Buffer.from(text), 0, text.length)
    return out.bytes.subarray(0, out.at).toString('latin1')
  }
  assert.equal(write('X-Some', 'thing'), '\x00\x06x-some\x05thing')
  assert.equal(write('X-Some', 'thing'), '\x40\x06x-some\x05thing')
  assert.equal(write('x-some', 'thing'), '\xbe')
  for (let time = 0; time < 3; time += 1)
    assert.equal(write('Set-Cookie', 'a=1'), '\x1f\x28\x03a=1')
})

test('a table of a peer that takes none is none; the smaller size is told, too, when it grew again', () => {
  const encoder = new HpackEncoder()
  const out = new HeadWriter(Buffer.alloc(256))
  encoder.resize(0)
  encoder.resize(100_000)
  encoder.begin(out)
  const told = new HeadWriter(Buffer.alloc(16))
  writeInteger(told, 0x20, 5, 0)
  writeInteger(told, 0x20, 5, TABLE_BYTES)
  assert.deepEqual(out.bytes.subarray(0, out.at), told.bytes.subarray(0, told.at))
})

test('a table keeps the newest of what fits, however long it is used', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(60), fc.nat(900), fc.boolean()), { minLength: 1, maxLength: 300 }),
      (additions) => {
        const table = new DynamicTable()
        let kept: string[] = []
        for (const [index, [nameLength, valueLength, isOfTable]] of additions.entries()) {
          const newest = table.insertionAt(1)
          const name =
            isOfTable && newest > 0
              ? Buffer.from(table.bytes.subarray(table.nameStart(newest), table.valueStart(newest)))
              : Buffer.alloc(nameLength, index)
          const text = Buffer.alloc(valueLength, index + 1)
          if (isOfTable && newest > 0) {
            const { bytes } = table
            table.add(
              bytes,
              table.nameStart(newest),
              table.valueStart(newest),
              text,
              0,
              valueLength,
            )
          } else table.add(name, 0, nameLength, text, 0, valueLength)
          kept.unshift(name.toString('latin1') + text.toString('latin1'))
          let size = 0
          const fits = kept.findIndex((one) => {
            size += one.length + 32
            return size > TABLE_BYTES
          })
          if (fits >= 0) kept = kept.slice(0, fits)
          const got = kept.map((_, at) => {
            const insertion = table.insertionAt(at + 1)
            return table.bytes.toString(
              'latin1',
              table.nameStart(insertion),
              table.valueEnd(insertion),
            )
          })
          assert.deepEqual(got, kept)
          assert.equal(table.insertionAt(kept.length + 1), 0)
        }
      },
    ),
  )
})
