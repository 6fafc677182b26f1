import assert from 'node:assert/strict'
import test from 'node:test'
import { errorCode, GodwitError, httpStatusOf } from './errors.ts'

class DiskError extends GodwitError<keyof typeof DiskError.catalogue> {
  static override readonly catalogue = {
    'disk.full': { status: 507, transient: true },
  } as const
}

const full = new DiskError('disk.full', {
  what: 'the pool is full',
  values: { pool: 'main', freeBytes: 0n, path: '/a b' },
  fix: 'remove a volume',
})

test('a message is what, values and fix in one line', () => {
  assert.equal(
    full.message,
    'the pool is full (pool=main, freeBytes=0, path="/a b"); remove a volume',
  )
})

test('the wire form has the code and each piece by itself', () => {
  const { code, what, fix } = new DiskError('disk.full', {
    what: 'full',
    fix: 'free some',
  }).toJSON()
  assert.deepEqual([code, what, fix], ['disk.full', 'full', 'free some'])
})

test('integers beyond 2^53 show as their digits, wherever they stand', () => {
  const error = new DiskError('disk.full', { what: 'full', values: { sizes: [2n ** 60n], n: 3n } })
  assert.match(error.message, /1152921504606846976/)
  assert.deepEqual(JSON.parse(JSON.stringify(error)).values, {
    sizes: ['1152921504606846976'],
    n: '3',
  })
})

test('a code that the catalogue lacks is a mistake of ours, found at once', () => {
  assert.throws(() => Reflect.construct(DiskError, ['disk.gone', { what: 'x' }]), /catalogue/)
})

test('HTTP status comes from the code, and is 500 for what nobody threw on purpose', () => {
  assert.equal(httpStatusOf(full), 507)
  assert.equal(httpStatusOf(new Error('bug')), 500)
})

test('a code is read from our errors and from system errors, and from nothing else', () => {
  assert.equal(errorCode(full), 'disk.full')
  assert.equal(errorCode(Object.assign(new Error(), { code: 'ENOENT' })), 'ENOENT')
  for (const other of [undefined, null, 'x', { code: 3 }]) assert.equal(errorCode(other), undefined)
})

test('a value that is very long is cut in the message', () => {
  const long = new DiskError('disk.full', { what: 'full', values: { said: 'x'.repeat(10_000) } })
  assert(long.message.length < 300)
})
