import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { EventQueue, SimEvent } from './event-queue.ts'

class Numbered extends SimEvent {
  readonly number: number

  constructor(number: number) {
    super()
    this.number = number
  }

  fire(): void {
    throw new Error('not fired here')
  }
}

function drain(queue: EventQueue): number[] {
  const order: number[] = []
  for (let event = queue.pop(); event !== undefined; event = queue.pop()) {
    order.push((event as Numbered).number)
  }
  return order
}

test('events come in order of time, then of insertion, and cancelled ones not at all', () => {
  const entries = fc.array(
    fc.record({ atMs: fc.integer({ min: 0, max: 20 }), isCancelled: fc.boolean() }),
  )
  fc.assert(
    fc.property(entries, (list) => {
      const queue = new EventQueue()
      const events = list.map(({ atMs }, number) => {
        const event = new Numbered(number)
        queue.push(event, atMs)
        return event
      })
      list.forEach(({ isCancelled }, at) => {
        if (isCancelled) queue.cancel(events[at] as Numbered)
      })
      const expected = list
        .map(({ atMs, isCancelled }, number) => ({ atMs, isCancelled, number }))
        .filter((entry) => !entry.isCancelled)
        .sort((a, b) => a.atMs - b.atMs || a.number - b.number)
        .map(({ number }) => number)
      assert.equal(queue.size, expected.length)
      assert.deepEqual(drain(queue), expected)
    }),
  )
})

test('pushing and popping by turns keeps the order', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 50 }))), (steps) => {
      const queue = new EventQueue()
      let model: { atMs: number; number: number }[] = []
      steps.forEach((delayMs, number) => {
        if (delayMs !== null) {
          queue.push(new Numbered(number), delayMs)
          model.push({ atMs: delayMs, number })
          return
        }
        model.sort((a, b) => a.atMs - b.atMs || a.number - b.number)
        const [first, ...rest] = model
        model = rest
        assert.equal((queue.pop() as Numbered | undefined)?.number, first?.number)
      })
    }),
  )
})

test('thousands of cancelled events are dropped, and the rest keeps its order', () => {
  const queue = new EventQueue()
  const events = Array.from({ length: 10_000 }, (_, number) => new Numbered(number))
  for (const event of events) queue.push(event, (event.number * 7919) % 1000)
  for (const event of events) if (event.number % 10 !== 0) queue.cancel(event)
  assert.equal(queue.size, 1000)
  const expected = events
    .filter(({ number }) => number % 10 === 0)
    .sort((a, b) => a.atMs - b.atMs || a.number - b.number)
  assert.deepEqual(
    drain(queue),
    expected.map(({ number }) => number),
  )
})
