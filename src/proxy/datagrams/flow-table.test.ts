import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { FlowTable } from './flow-table.ts'

test('a flow lasts while it is used, and is forgotten after it was idle', () => {
  const ended: string[] = []
  const table = new FlowTable<string>({ idleMs: 100, ended: (flow) => ended.push(flow) })
  table.begin('a', 'flow a', 0)
  table.begin('b', 'flow b', 0)
  assert.equal(table.use('a', 99), 'flow a')
  assert.equal(table.use('a', 198), 'flow a')
  assert.equal(table.use('b', 198), undefined, 'idle since the beginning')
  assert.deepEqual(ended, ['flow b'])
  table.sweep(298)
  assert.deepEqual(ended, ['flow b', 'flow a'])
  assert.equal(table.size, 0)
})

test('a flood that nobody answers drives out itself, and not who is in conversation', () => {
  const table = new FlowTable<number>({ max: 10 })
  for (let at = 0; at < 5; at += 1) {
    table.begin(`talk ${at}`, at, 0)
    assert.equal(table.answer(`talk ${at}`, 0), at)
  }
  for (let at = 0; at < 1_000; at += 1) table.begin(`flood ${at}`, at, 1)
  assert.equal(table.size, 10)
  assert.equal(table.evictedCount, 995)
  for (let at = 0; at < 5; at += 1) assert.equal(table.use(`talk ${at}`, 2), at)
  assert.equal(table.use('flood 999', 2), 999)
  assert.equal(table.use('flood 0', 2), undefined)
})

test('whatever happens, it stays within its bound and each flow ends once', () => {
  const steps = fc.array(
    fc.record({
      what: fc.constantFrom('begin', 'use', 'answer', 'end', 'sweep'),
      key: fc.nat({ max: 12 }),
      passMs: fc.nat({ max: 40 }),
    }),
    { maxLength: 200 },
  )
  const property = fc.property(steps, (all) => {
    let [nowMs, begun] = [0, 0]
    const ended = new Set<number>()
    const table = new FlowTable<number>({
      ...{ max: 5, idleMs: 100 },
      ended: (flow) => {
        assert(!ended.has(flow))
        ended.add(flow)
      },
    })
    for (const { what, key: number, passMs } of all) {
      nowMs += passMs
      const key = String(number)
      if (what === 'begin') {
        begun += 1
        table.begin(key, begun, nowMs)
      } else if (what === 'sweep') table.sweep(nowMs)
      else table[what as 'use' | 'answer' | 'end'](key, nowMs)
      assert(table.size <= 5)
      assert.equal(table.size + ended.size, begun)
    }
    table.clear()
    assert.equal(ended.size, begun)
  })
  fc.assert(property)
})
