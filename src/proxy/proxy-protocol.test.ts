import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { encodeProxyHeader, parseProxyHeader } from './proxy-protocol.ts'

const v4 = {
  clientAddress: '192.0.2.7',
  clientPort: 4711,
  localAddress: '198.51.100.1',
  localPort: 443,
}
const v6 = {
  clientAddress: '2001:db8::7',
  clientPort: 4711,
  localAddress: '2001:db8::1',
  localPort: 443,
}

test('the first bytes of both versions are as HAProxy specifies them', () => {
  assert.equal(
    encodeProxyHeader(1, v4).toString(),
    'PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n',
  )
  assert.equal(
    encodeProxyHeader(1, v6).toString(),
    'PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n',
  )
  assert.equal(
    encodeProxyHeader(2, v4).toString('hex'),
    '0d0a0d0a000d0a515549540a2111000cc0000207c6336401126701bb',
  )
  const six = encodeProxyHeader(2, v6)
  assert.equal(six.length, 16 + 36)
  assert.equal(six.subarray(12, 16).toString('hex'), '21210024')
})

test('a header survives encode and decode, and cut anywhere asks for more', () => {
  for (const version of [1, 2] as const) {
    const bytes = encodeProxyHeader(version, v4)
    assert.deepEqual(parseProxyHeader(bytes), { bytes: bytes.length, facts: v4 })
    for (let end = 0; end < bytes.length; end += 1)
      assert.equal(parseProxyHeader(bytes.subarray(0, end)), 'incomplete')
  }
})

test('LOCAL and UNKNOWN name nobody', () => {
  assert.deepEqual(parseProxyHeader(Buffer.from('PROXY UNKNOWN\r\n')), {
    bytes: 15,
    facts: undefined,
  })
  const local = encodeProxyHeader(2, v4)
  local[12] = 0x20
  assert.deepEqual(parseProxyHeader(local), { bytes: local.length, facts: undefined })
})

test('anything else is bad, and no bytes throw', () => {
  for (const text of [
    'GET / HTTP/1.1\r\n',
    'PROXY TCP4 x y 1 2\r\n',
    'PROXY TCP6 192.0.2.7 192.0.2.8 1 2\r\n',
    'PROXY TCP4 192.0.2.7 192.0.2.8 1 99999\r\n',
    `PROXY ${'x'.repeat(200)}`,
  ]) {
    assert.equal(parseProxyHeader(Buffer.from(text)), 'bad', text)
  }
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 80 }),
      (bytes) => void parseProxyHeader(Buffer.from(bytes)),
    ),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const head = encodeProxyHeader(2, v4).subarray(0, 12)
      parseProxyHeader(Buffer.concat([head, bytes]))
    }),
  )
})
