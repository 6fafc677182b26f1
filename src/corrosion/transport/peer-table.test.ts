import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '#base'
import { TransportError } from './errors.ts'
import { PeerTable } from './peer-table.ts'
import { newCounters } from './transport.ts'

const newTable = () => new PeerTable(newCounters(), seededRandom(1))

test('one address is one peer, in each form of writing it', () => {
  const peers = newTable()
  const peer = peers.of('[2001:DB8:0:0::1]:8787')
  assert.equal(peer?.address, '[2001:db8::1]:8787')
  assert.equal(peers.of('[2001:db8::1]:8787'), peer)
  assert.equal(peers.known('[2001:db8::1]:8787'), peer)
  assert.equal(peers.size, 1)
  assert.equal(peers.of('nonsense'), undefined)
})

test('a peer that failed is remembered until it may be tried again, then forgotten', () => {
  const peers = newTable()
  const peer = peers.of('192.0.2.1:1')
  assert(peer !== undefined)
  const error = new TransportError('transport.unreachable', { what: 'a peer does not answer' })
  peer.outbox.offerFrame(Buffer.from('x'))
  peer.lost(error, 1_000)
  assert(peer.outbox.isEmpty)
  assert.equal(peer.refusal(1_000), error)
  peers.forgetIdle(1_000)
  assert.equal(peers.known('192.0.2.1:1'), peer)
  assert.equal(peer.refusal(60_000), undefined)
  peers.forgetIdle(60_000)
  assert.equal(peers.known('192.0.2.1:1'), undefined)
  assert.equal(peers.size, 0)
})

test('a peer that fails again and again is tried ever less often, up to a bound', () => {
  const peer = newTable().of('192.0.2.1:1')
  assert(peer !== undefined)
  const error = new TransportError('transport.unreachable', { what: 'a peer does not answer' })
  const waits = Array.from({ length: 40 }, () => {
    peer.lost(error, 0)
    let waitMs = 0
    while (peer.refusal(waitMs) !== undefined) waitMs += 10
    return waitMs
  })
  assert(Math.max(...waits.slice(0, 2)) <= 2_010)
  assert(Math.max(...waits) > 5_000 && Math.max(...waits) <= 15_010)
})
