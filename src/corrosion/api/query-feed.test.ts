import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fc } from '#property'
import { type JsonCells, QueryFeed } from './query-feed.ts'

function follow() {
  const rows = new Map<string, JsonCells>()
  const feed = new QueryFeed({
    sql: 'SELECT k, v FROM t',
    keyColumns: 1,
    onRow: (key, cells) => void (cells === undefined ? rows.delete(key) : rows.set(key, cells)),
  })
  return { feed, rows }
}

test('rows that are not in a later snapshot go when it is complete, and not before', () => {
  const { feed, rows } = follow()
  feed.opened()
  for (const key of ['a', 'b']) feed.event({ row: [1, [key, 1]] })
  assert.equal(feed.isComplete, false)
  feed.event({ eoq: { change_id: 7 } })
  assert.deepEqual([feed.isComplete, feed.resumeFrom], [true, 7])
  feed.reset()
  feed.opened()
  feed.event({ row: [9, ['b', 2]] })
  assert.deepEqual([[...rows.keys()], feed.resumeFrom], [['a', 'b'], 0])
  feed.event({ eoq: { change_id: 1 } })
  assert.deepEqual([...rows], [['b', ['b', 2]]])
})

test('a change that is not the next one, an error and nonsense make the connection useless', () => {
  const { feed } = follow()
  feed.opened()
  feed.event({ eoq: { change_id: 7 } })
  assert.equal(feed.event({ change: ['insert', 1, ['a', 1], 8] }), undefined)
  assert.equal(feed.event({ change: ['insert', 1, ['b', 1], 10] }), 'changes are missing')
  assert.equal(feed.event({ error: 'lagged' }), 'lagged')
  assert.equal(feed.event(7), 'an event that is no object')
})

test('whenever connections break, the rows end as they are at the source', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), key: fc.nat(5), value: fc.nat(99) }),
    fc.record({ kind: fc.constant('delete' as const), key: fc.nat(5), value: fc.constant(0) }),
    fc.record({ kind: fc.constantFrom('cut', 'forget'), key: fc.nat(5), value: fc.constant(0) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { feed, rows } = follow()
      const source = new Map<string, JsonCells>()
      let changes: unknown[] = []
      let seen = 0
      const connect = (rowsBeforeCut = Infinity) => {
        seen = feed.resumeFrom
        const isResumed = seen > 0
        feed.opened()
        if (isResumed) return
        for (const cells of [...source.values()].slice(0, rowsBeforeCut))
          feed.event({ row: [0, cells] })
        if (rowsBeforeCut < source.size) return
        seen = changes.length
        feed.event({ eoq: { change_id: seen } })
      }
      const hear = () => {
        for (; seen < changes.length; seen += 1) assert.equal(feed.event(changes[seen]), undefined)
      }
      connect()
      for (const { kind, key, value } of steps) {
        const cells = [`k${key}`, value]
        if (kind === 'cut') connect(key)
        if (kind === 'forget') {
          feed.reset()
          changes = []
          connect(key)
        }
        if (kind === 'put') source.set(`k${key}`, cells)
        if (kind === 'put') changes.push({ change: ['update', 0, cells, changes.length + 1] })
        if (kind === 'delete' && source.delete(`k${key}`)) {
          changes.push({ change: ['delete', 0, cells, changes.length + 1] })
        }
        if (key % 2 === 0 && feed.resumeFrom > 0) hear()
      }
      connect()
      hear()
      assert.deepEqual(new Map(rows), source)
    }),
    { numRuns: 1000 },
  )
})
