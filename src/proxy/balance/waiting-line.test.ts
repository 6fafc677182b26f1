import assert from 'node:assert/strict'
import test from 'node:test'
import type { NoChoice } from './chooser.ts'
import { LEAVE_AT_ONCE, LEAVE_PAUSE_MS, type WaitEnd, WaitingLine } from './waiting-line.ts'
import { NO_WISH } from './wish.ts'

/** A line of so many whom a machine can serve, unless `room` says why not. */
function lineOf(count: number) {
  const line = new WaitingLine()
  const ends: WaitEnd[] = []
  const world = { line, ends, room: undefined as NoChoice | undefined }
  for (let at = 0; at < count; at += 1) {
    line.join({
      wish: NO_WISH,
      sinceMs: 0,
      deadlineAtMs: 60_000,
      reason: 'asleep',
      serve: () => world.room,
      ended: (end) => ends.push(end),
    })
  }
  return world
}

test('those who waited for one machine leave a few at a time, and more after each pause', () => {
  const { line, ends } = lineOf(20)
  line.look(1_000)
  line.look(1_000 + LEAVE_PAUSE_MS - 1)
  assert.equal(ends.length, LEAVE_AT_ONCE)
  assert.deepEqual([line.isHeld, line.wakeAtMs], [true, 1_000 + LEAVE_PAUSE_MS])
  line.look(line.wakeAtMs)
  assert.equal(ends.length, 2 * LEAVE_AT_ONCE)
  line.look(line.wakeAtMs)
  assert.deepEqual([ends.length, line.size, line.isHeld], [20, 0, false])
})

test('a use that ends lets one more leave within the pause', () => {
  const { line, ends } = lineOf(20)
  line.look(0)
  line.released()
  line.released()
  line.look(1)
  assert.equal(ends.length, LEAVE_AT_ONCE + 2)
})

test('who leaves for another reason is not held by the pace', () => {
  const world = lineOf(20)
  world.line.look(0)
  world.room = 'nobody'
  world.line.look(LEAVE_PAUSE_MS)
  assert.equal(world.line.size, 0)
  const late = lineOf(20)
  late.line.look(60_000)
  assert.deepEqual(new Set(late.ends), new Set(['expired']))
})
