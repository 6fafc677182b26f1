import assert from 'node:assert/strict'
import test from 'node:test'
import { host, request, TestMarket } from './market.fixture.ts'

test('a machine is placed on the fuller of two hosts, reserved there, and confirmed', async (t) => {
  const market = await TestMarket.start(t, ['a1', 'a2'])
  const { book: empty } = await market.host('a1')
  const { book } = await market.host('a2')
  book.restore('m1', { needs: { guest: { cpuKind: 'shared', cpus: 8, memoryMb: 2_048 } } })
  const placer = await market.placer({ hostsIn: () => 2 })
  const placement = await placer.place(request)
  assert.equal(placement.host, host('a2'))
  assert.equal(book.reservationCount, 1)
  assert.equal(empty.reservationCount, 0)
  book.confirm(placement.reservation, 'm2', performance.now())
  assert.deepEqual([book.reservationCount, book.holderCount], [0, 2])
})
