import assert from 'node:assert/strict'
import test from 'node:test'
import { readPostgresStart } from './postgres-start.ts'

const message = (length: number, code: number, rest = '') => {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32BE(length, 0)
  bytes.writeUInt32BE(code, 4)
  return Buffer.concat([bytes, Buffer.from(rest)])
}

test('the first message of a PostgreSQL client says whether it wants encryption', () => {
  const start = 'user\0me\0\0'
  assert.equal(readPostgresStart(message(8, 80_877_103)), 'ssl')
  assert.equal(readPostgresStart(message(8, 80_877_104)), 'gss')
  assert.equal(readPostgresStart(message(8 + start.length, 0x30000, start)), 'plain')
  assert.equal(readPostgresStart(message(8 + start.length, 0x30002, start)), 'plain')
  assert.equal(readPostgresStart(message(16, 80_877_102, '12345678')), 'plain')
  assert.equal(readPostgresStart(message(9, 80_877_103)), 'bad')
  assert.equal(readPostgresStart(Buffer.from('GET / HTTP/1.1\r\n')), 'bad')
  for (let length = 0; length < 8; length += 1) {
    assert.equal(readPostgresStart(message(8, 80_877_103).subarray(0, length)), 'more')
  }
})
