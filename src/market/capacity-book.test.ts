import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { type HostCapacity, MICROS_PER_CPU } from './capacity.ts'
import { CapacityBook } from './capacity-book.ts'
import { capacity, small, whole } from './market.fixture.ts'
import { CPU_KINDS, type Needs } from './needs.ts'
import { refusalText } from './refusal.ts'

const TTL_MS = 1_000
const open = (changes: Partial<HostCapacity> = {}) =>
  new CapacityBook({ capacity: { ...capacity, ...changes } })

test('sixteen shared vCPUs take one thread, a performance vCPU takes one whole', () => {
  const book = open({ cpus: 2, memoryMb: 1 << 20 })
  const shared = { guest: { cpuKind: 'shared', cpus: 8, memoryMb: 256 } } as const
  const performance = { guest: { cpuKind: 'performance', cpus: 1, memoryMb: 2_048 } } as const
  for (const holder of ['a', 'b']) assert.equal(book.hold(holder, { needs: shared }), undefined)
  assert.equal(book.hold('c', { needs: performance }), undefined)
  assert.equal(book.utilisation.cpu, 1)
  const refusal = book.hold('d', { needs: { guest: small } })
  assert.deepEqual(refusal, { reason: 'cpus', asked: 1 / 16, free: 0 })
})

test('a ratio that divides nothing evenly is never passed', () => {
  const book = open({ cpus: 1, cpuRatio: { shared: 7, performance: 3 }, memoryMb: 1 << 20 })
  let held = 0
  while (book.hold(`m${held}`, { needs: { guest: small } }) === undefined) held += 1
  assert.ok(held === 6 || held === 7, `${held} were taken`)
  assert.ok(book.used.cpuMicros <= MICROS_PER_CPU)
})

test('each resource refuses by its own name, in the words that clients match on', () => {
  const book = open({ machinesMax: 1, volumeBytes: 10 })
  const tooMuch: [Needs, string][] = [
    [{ guest: { ...whole, cpus: 17 } }, 'insufficient CPUs available to fulfill request'],
    [{ guest: { ...small, memoryMb: 32_769 } }, 'insufficient memory available to fulfill request'],
    [{ volumeBytes: 11 }, 'insufficient resources available to fulfill request'],
  ]
  for (const [needs, words] of tooMuch) {
    const refusal = book.refusalOf({ needs }, 'place')
    assert.ok(refusal !== undefined && refusalText(refusal).startsWith(words), words)
  }
  book.hold('m1', { needs: { guest: small } })
  const refusal = book.refusalOf({ needs: { guest: small } }, 'place')
  assert.deepEqual(refusal, { reason: 'machines', asked: 1, free: 0 })
})

test('two race for the last slot: one has it, the other is refused at once', () => {
  const book = open()
  const needs = { guest: whole }
  assert.equal(book.reserve('r1', { needs }, TTL_MS, 0), undefined)
  assert.equal(book.reserve('r2', { needs }, TTL_MS, 0)?.reason, 'cpus')
  assert.equal(book.reservationCount, 1)
})

test('a reservation that nobody confirms gives its room back when its time is up', () => {
  const book = open()
  const hold = { needs: { guest: whole } }
  book.reserve('r1', hold, TTL_MS, 0)
  assert.equal(book.wakeAtMs, TTL_MS)
  assert.deepEqual(book.expire(TTL_MS - 1), [])
  assert.deepEqual(book.expire(TTL_MS), ['r1'])
  assert.equal(book.wakeAtMs, Infinity)
  assert.equal(book.reserve('r2', hold, TTL_MS, TTL_MS), undefined)
  assert.throws(() => book.confirm('r1', 'm1', TTL_MS), { code: 'market.reservation_gone' })
})

test('an order that comes twice reserves once, and its time is not prolonged', () => {
  const book = open()
  const hold = { needs: { guest: small } }
  book.reserve('r1', hold, TTL_MS, 0)
  const { used } = book
  assert.equal(book.reserve('r1', hold, TTL_MS, 500), undefined)
  assert.deepEqual(book.used, used)
  assert.deepEqual(book.expire(TTL_MS), ['r1'])
})

test('an order that comes after its end does not revive the reservation', () => {
  const book = open()
  const hold = { needs: { guest: small } }
  book.cancel('overtaken')
  book.reserve('expired', hold, TTL_MS, 0)
  book.reserve('confirmed', hold, TTL_MS, 0)
  book.confirm('confirmed', 'm1', 1)
  for (const ended of ['overtaken', 'expired', 'confirmed']) {
    const refusal = book.reserve(ended, hold, TTL_MS, TTL_MS)
    assert.deepEqual(refusal, { reason: 'reservation_gone' }, ended)
  }
})

test('a confirmed reservation stays until released, and confirming may run twice', () => {
  const book = open()
  book.reserve('r1', { needs: { guest: whole } }, TTL_MS, 0)
  book.confirm('r1', 'm1', 1)
  book.confirm('r1', 'm1', 10 * TTL_MS)
  assert.deepEqual(book.expire(10 * TTL_MS), [])
  assert.equal(book.utilisation.cpu, 1)
  book.reserve('r2', { needs: { volumeBytes: 1 } }, TTL_MS, 0)
  assert.throws(() => book.confirm('r2', 'm1', 1), { code: 'market.holder_taken' })
  assert.equal(book.release('m1'), true)
  assert.equal(book.release('m1'), false)
  assert.equal(book.utilisation.cpu, 0)
})

test('a cordoned host takes nothing new and starts its own; a draining one starts none', () => {
  const book = open()
  const hold = { needs: { guest: small } }
  book.mode = 'cordoned'
  assert.deepEqual(book.reserve('r1', hold, TTL_MS, 0), { reason: 'cordoned' })
  assert.equal(book.hold('m1', hold, 'start'), undefined)
  book.mode = 'draining'
  assert.deepEqual(book.reserve('r2', hold, TTL_MS, 0), { reason: 'draining' })
  assert.deepEqual(book.hold('m2', hold, 'start'), { reason: 'draining' })
})

test('of one exclusive kind a host holds one, even while it is only reserved', () => {
  const book = open()
  const volume = { needs: { volumeBytes: 1 }, exclusive: 'web/data' }
  book.reserve('r1', volume, TTL_MS, 0)
  assert.deepEqual(book.reserve('r2', volume, TTL_MS, 0), { reason: 'exclusive' })
  book.confirm('r1', 'vol_1', 0)
  assert.deepEqual(book.reserve('r3', volume, TTL_MS, 0), { reason: 'exclusive' })
  book.release('vol_1')
  assert.equal(book.reserve('r4', volume, TTL_MS, 0), undefined)
})

test('a machine grows as a whole or not at all, and shrinks on a host that is over-full', () => {
  const book = open()
  book.hold('m1', { needs: { guest: { ...whole, cpus: 8, memoryMb: 16_384 } } })
  book.hold('m2', { needs: { guest: { ...whole, cpus: 4, memoryMb: 8_192 } } })
  const { used } = book
  const tooBig = { guest: { ...whole, cpus: 8, memoryMb: 24_576 } }
  assert.equal(book.hold('m2', { needs: tooBig })?.reason, 'memory')
  assert.deepEqual(book.used, used)
  assert.equal(
    book.hold('m2', { needs: { guest: { ...whole, cpus: 8, memoryMb: 16_384 } } }),
    undefined,
  )
  book.setCapacity({ ...capacity, cpus: 4 })
  assert.equal(book.utilisation.cpu, 4)
  const half = { needs: { guest: { ...whole, cpus: 4, memoryMb: 16_384 } } }
  assert.equal(book.hold('m1', half), undefined)
  assert.equal(book.refusalOf({ needs: { guest: small } }, 'place')?.reason, 'cpus')
})

test('what runs already is restored even beyond the limits', () => {
  const book = open({ cpus: 1 })
  book.restore('m1', { needs: { guest: whole } })
  assert.equal(book.utilisation.cpu, 16)
  assert.deepEqual(book.heldBy('m1')?.needs, { guest: whole })
})

test('a host has no more open reservations than it takes', () => {
  const book = new CapacityBook({ capacity, reservationsMax: 2 })
  const hold = { needs: { guest: small } }
  for (const id of ['r1', 'r2']) assert.equal(book.reserve(id, hold, TTL_MS, 0), undefined)
  assert.deepEqual(book.reserve('r3', hold, TTL_MS, 0), { reason: 'busy' })
  assert.equal(book.reserve('r3', hold, TTL_MS, TTL_MS), undefined)
})

test('a capacity that makes no sense is refused with the figure that is wrong', () => {
  for (const changes of [
    { cpus: -1 },
    { memoryMb: 1.5 },
    { memoryRatio: 0 },
    { volumeRatio: Number.NaN },
    { cpuRatio: { shared: Infinity, performance: 1 } },
  ]) {
    assert.throws(() => open(changes), { code: 'market.capacity_bad' }, JSON.stringify(changes))
  }
})

const needs: fc.Arbitrary<Needs> = fc.record(
  {
    guest: fc.record({
      cpuKind: fc.constantFrom(...CPU_KINDS),
      cpus: fc.integer({ min: 1, max: 4 }),
      memoryMb: fc.integer({ min: 1, max: 40 }),
    }),
    volumeBytes: fc.integer({ min: 0, max: 40 }),
  },
  { requiredKeys: [], noNullPrototype: true },
)
const id = fc.integer({ min: 0, max: 6 }).map((n) => `i${n}`)
const deeds = fc.oneof(
  fc.record({
    type: fc.constant('reserve' as const),
    id,
    needs,
    ttlMs: fc.integer({ min: 1, max: 20 }),
  }),
  fc.record({ type: fc.constant('confirm' as const), id, holder: id }),
  fc.record({ type: fc.constant('cancel' as const), id }),
  fc.record({ type: fc.constant('hold' as const), id, needs }),
  fc.record({ type: fc.constant('release' as const), id }),
)

test('after any history the sum is what its entries take, and never beyond the ratios', () => {
  const tight = { cpus: 3, cpuRatio: { shared: 3, performance: 1 }, memoryMb: 60, machinesMax: 5 }
  fc.assert(
    fc.property(
      fc.array(fc.tuple(deeds, fc.integer({ min: 0, max: 5 })), { maxLength: 60 }),
      (history) => {
        const book = open({ ...tight, volumeBytes: 50, volumeRatio: 1.5 })
        let nowMs = 0
        for (const [deed, passedMs] of history) {
          nowMs += passedMs
          act(book, deed, nowMs)
          for (const name of ['cpuMicros', 'memoryMb', 'machines', 'volumeBytes'] as const) {
            assert.ok(book.used[name] <= book.limits[name], name)
          }
        }
        for (let n = 0; n <= 6; n += 1) book.release(`i${n}`)
        book.expire(Infinity)
        assert.deepEqual(book.used, { cpuMicros: 0, memoryMb: 0, machines: 0, volumeBytes: 0 })
      },
    ),
  )
})

type Deed = typeof deeds extends fc.Arbitrary<infer One> ? One : never

function act(book: CapacityBook, deed: Deed, nowMs: number): void {
  switch (deed.type) {
    case 'reserve':
      book.reserve(deed.id, { needs: deed.needs }, deed.ttlMs, nowMs)
      break
    case 'confirm':
      try {
        book.confirm(deed.id, deed.holder, nowMs)
      } catch (error) {
        assert.match(String((error as { code?: string }).code), /reservation_gone|holder_taken/)
      }
      break
    case 'cancel':
      book.cancel(deed.id)
      break
    case 'hold':
      book.hold(deed.id, { needs: deed.needs })
      break
    case 'release':
      book.release(deed.id)
  }
}
