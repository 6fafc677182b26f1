import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fc } from '#property'
import type { Rumour } from '../membership/member.ts'
import { RUMOURS_MAX, type SwimMessage } from '../membership/swim-message.ts'
import { WireError } from './errors.ts'
import { ipv6Groups, ipv6Text } from './ip-bytes.ts'
import { parseSocketAddress } from './socket-address.ts'
import { decodeSwim, encodeSwim, SWIM_DATAGRAM_BYTES_MAX } from './swim-datagram.ts'
import { mutated, swimMessages } from './wire-arbitraries.ts'

test('a membership message survives encode and decode', () => {
  fc.assert(
    fc.property(swimMessages, (message) => {
      assert.deepEqual(decodeSwim(encodeSwim(message)), message)
    }),
  )
})

test('any bytes, and any damage to valid ones, give a message or a WireError', () => {
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated(swimMessages.map(encodeSwim)))
  fc.assert(
    fc.property(bytes, (datagram) => {
      try {
        decodeSwim(datagram)
      } catch (error) {
        if (!(error instanceof WireError)) throw error
      }
    }),
    { numRuns: 2000 },
  )
})

test('one flipped bit anywhere is noticed', () => {
  fc.assert(
    fc.property(swimMessages, fc.nat(), (message, where) => {
      const datagram = encodeSwim(message)
      const bit = where % (datagram.length * 8)
      datagram[bit >> 3] = (datagram[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.throws(
        () => decodeSwim(datagram),
        (error) => error instanceof WireError && error.code === 'wire.checksum_bad',
      )
    }),
  )
})

test('the fullest message fits into its datagram, whatever the form of its addresses', () => {
  for (const address of ['[2001:db8:1:2:3:4:5:6]:65535', 'a'.repeat(40), '255.255.255.255:65535']) {
    const identity = { id: 'f'.repeat(32), address, renewedAt: Number.MAX_SAFE_INTEGER }
    const rumour: Rumour = { identity, incarnation: 2 ** 32 - 1, health: 'suspect' }
    const message: SwimMessage = {
      kind: 'pingRequest',
      clusterId: 65_535,
      from: identity,
      incarnation: 1,
      probe: 1,
      target: identity,
      rumours: new Array<Rumour>(RUMOURS_MAX).fill(rumour),
    }
    assert(encodeSwim(message).length <= SWIM_DATAGRAM_BYTES_MAX)
  }
})

test('an address of IPv6 travels as 16 bytes and comes back in its shortest form', () => {
  const forms = [
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['fe80::', 'fe80::'],
  ] as const
  for (const [form, shortest] of forms) assert.equal(ipv6Text(ipv6Groups(form)), shortest)
})

test('what is no address with a port is not taken for one', () => {
  for (const text of [
    '',
    ':1',
    '1.2.3.4',
    '1.2.3.4:0',
    '1.2.3.4:65536',
    '::1:80',
    '[::1]',
    'a:1',
  ]) {
    assert.equal(parseSocketAddress(text), undefined, text)
  }
  assert.deepEqual(parseSocketAddress('[::1]:80'), { host: '::1', port: 80, family: 6 })
})
