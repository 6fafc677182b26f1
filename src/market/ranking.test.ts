import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import type { Bid } from './bid.ts'
import { ams, host } from './market.fixture.ts'
import { chooseBest, DEFAULT_RANKING, points, score } from './ranking.ts'

const marks = { low: 0.2, high: 0.8, full: 0.5 }
const bidOf = (id: string, cpu: number, changes: Partial<Bid> = {}): Bid => ({
  host: host(id),
  region: ams,
  utilisation: { cpu, memory: cpu, machines: 0, volume: 0 },
  appMachines: 0,
  hasImage: false,
  ...changes,
})

test('points rise in a straight line from the low to the high mark, and fall to full', () => {
  const table = [
    [0, 0],
    [0.2, 0],
    [0.5, 0.5],
    [0.8, 1],
    [0.9, 0.75],
    [1, 0.5],
    [1.5, 0.5],
  ] as const
  for (const [utilisation, expected] of table) {
    assert.ok(Math.abs(points(utilisation, marks) - expected) < 1e-9, `at ${utilisation}`)
  }
})

test('a high mark at 100 % has points of its own there', () => {
  assert.equal(points(1, { low: 0, high: 1, full: 0.5 }), 1)
})

test('the fuller host is better, up to the high mark', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 0.85, noNaN: true }),
      fc.double({ min: 0, max: 0.85, noNaN: true }),
      (a, b) => {
        const [less = 0, more = 0] = [a, b].toSorted((x, y) => x - y)
        const scores = [less, more].map((cpu) => score(bidOf('h', cpu), DEFAULT_RANKING, false))
        assert.ok((scores[0] ?? 0) <= (scores[1] ?? 0))
      },
    ),
  )
})

test('of hosts equally full in sum, the evenly full one is taken', () => {
  const uneven = { cpu: 0.2, memory: 0.6, machines: 0, volume: 0 }
  const bids = [bidOf('uneven', 0.4, { utilisation: uneven }), bidOf('even', 0.38)]
  assert.equal(chooseBest()(bids, false, seededRandom(1), 0).host, 'even')
})

test('an app is spread: a host without it beats a fuller host with it', () => {
  const bids = [bidOf('full', 0.6, { appMachines: 1 }), bidOf('empty', 0.2)]
  assert.equal(chooseBest()(bids, false, seededRandom(1), 0).host, 'empty')
})

test('among equal hosts the one with the image is taken', () => {
  const bids = [bidOf('a', 0.5), bidOf('b', 0.5, { hasImage: true }), bidOf('c', 0.5)]
  assert.equal(chooseBest()(bids, false, seededRandom(1), 0).host, 'b')
})

test('the disk counts for placements that bring a volume, and for no others', () => {
  const utilisation = { cpu: 0.5, memory: 0.5, machines: 0, volume: 1 }
  const bids = [bidOf('brim', 0.5, { utilisation }), bidOf('room', 0.45)]
  assert.equal(chooseBest()(bids, false, seededRandom(1), 0).host, 'brim')
  const half = { ...utilisation, volume: 0.4 }
  const withRoom = [bids[0] ?? bidOf('x', 0), bidOf('room', 0.5, { utilisation: half })]
  assert.equal(chooseBest()(withRoom, true, seededRandom(1), 0).host, 'room')
})

test('equals are all chosen now and then', () => {
  const random = seededRandom(7)
  const bids = ['a', 'b', 'c'].map((id) => bidOf(id, 0.5))
  const chosen = new Set(
    Array.from({ length: 100 }, () => chooseBest()(bids, false, random, 0).host),
  )
  assert.equal(chosen.size, 3)
})

test('after each refusal the choice is drawn from twice as many of the best', () => {
  const random = seededRandom(7)
  const bids = [0.1, 0.2, 0.3, 0.4, 0.5].map((cpu) => bidOf(`h${cpu * 10}`, cpu))
  for (const [order, count] of [1, 2, 4, 5].entries()) {
    const draw = () => chooseBest()(bids, false, random, order).host
    const best = bids.map(({ host: id }) => id).slice(-count)
    assert.deepEqual([...new Set(Array.from({ length: 200 }, draw))].toSorted(), best.toSorted())
  }
})

test('marks that do not rise, and weights below 0, are refused', () => {
  const { marks: own, weights } = DEFAULT_RANKING
  const bad = { ...own, cpu: { low: 0.9, high: 0.1, full: 0 } }
  assert.throws(() => chooseBest({ marks: bad, weights }), { code: 'market.limits_bad' })
  const negative = { ...weights, spread: -1 }
  assert.throws(() => chooseBest({ marks: own, weights: negative }), { code: 'market.limits_bad' })
})
