import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fc } from '#property'
import { CorrosionError } from '../errors.ts'
import { packKey, unpackKey } from './packed-key.ts'
import type { SqlValue } from './sql-value.ts'

/** As the real cr-sqlite packs them. */
const vectors: [SqlValue[], string][] = [
  [[0n], '0101'],
  [[1n], '010901'],
  [[127n], '01097f'],
  [[128n], '010980'],
  [[255n], '0109ff'],
  [[256n], '01110100'],
  [[32_768n], '01118000'],
  [[65_536n], '0119010000'],
  [[16_777_216n], '012101000000'],
  [[2_147_483_648n], '012180000000'],
  [[4_294_967_295n], '0121ffffffff'],
  [[4_294_967_296n], '01290100000000'],
  [[2n ** 40n], '0131010000000000'],
  [[2n ** 48n], '013901000000000000'],
  [[2n ** 63n - 1n], '01417fffffffffffffff'],
  [[-(2n ** 63n)], '01418000000000000000'],
  [[-1n], '0141ffffffffffffffff'],
  [[''], '0103'],
  [[new Uint8Array()], '0104'],
  [['x', 1n], '020b01780901'],
  [['abc', Uint8Array.of(0, 255), 1.5, null, 7n], '050b036162630c0200ff023ff8000000000000050907'],
]

test('a key is packed byte for byte as cr-sqlite packs it, and read back', () => {
  for (const [values, hex] of vectors) {
    assert.equal(Buffer.from(packKey(values)).toString('hex'), hex)
    assert.deepEqual(unpackKey(Buffer.from(hex, 'hex')), values)
  }
  const blob = Buffer.from(packKey([new Uint8Array(300)])).toString('hex')
  assert.ok(blob.startsWith('0114012c'))
})

const anyValue: fc.Arbitrary<SqlValue> = fc.oneof(
  fc.constant(null),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.double({ noNaN: true }),
  fc.string({ unit: 'grapheme' }),
  fc.uint8Array({ maxLength: 400 }),
)

test('whatever is packed comes back as it was', () => {
  fc.assert(
    fc.property(fc.array(anyValue, { minLength: 1, maxLength: 8 }), (values) => {
      assert.deepEqual(unpackKey(packKey(values)), values)
    }),
  )
})

test('bytes that are no key get a typed error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        unpackKey(bytes)
      } catch (error) {
        assert.ok(error instanceof CorrosionError && error.code === 'corrosion.key_malformed')
      }
    }),
  )
  for (const hex of ['', '01', '010b02ff', '0107', '01', '0149', '010b02fffe', '010100']) {
    assert.throws(() => unpackKey(Buffer.from(hex, 'hex')), { code: 'corrosion.key_malformed' })
  }
})
