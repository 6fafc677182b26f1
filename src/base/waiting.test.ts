import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { BoundedQueue } from './bounded-queue.ts'
import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import { pollUntil, startDeadline } from './deadline.ts'
import { seededRandom } from './random.ts'
import { backoffMs, retry } from './retry.ts'

/** A clock that goes on by itself to whatever is waited for next. */
function hurriedClock(): Clock & { now: number } {
  const timers = new Map<() => void, number>()
  const clock = {
    now: 0,
    nowMs: () => clock.now,
    monotonicMs: () => clock.now,
    setTimer(callback: () => void, afterMs: number) {
      timers.set(callback, clock.now + afterMs)
      return { [Symbol.dispose]: () => void timers.delete(callback) }
    },
    async sleep(ms: number, signal?: AbortSignal) {
      clock.now += ms
      for (const [callback, atMs] of timers) {
        if (atMs > clock.now) continue
        timers.delete(callback)
        callback()
      }
      signal?.throwIfAborted()
    },
  }
  return clock
}

test('a deadline aborts with an error that names the operation', async () => {
  const clock = hurriedClock()
  using deadline = startDeadline('pulling', 50, { clock })
  await assert.rejects(clock.sleep(60, deadline.signal), {
    code: 'base.deadline_exceeded',
    message: 'pulling did not end in time (deadlineMs=50)',
  })
})

test("the caller's signal reaches through a deadline, before and after its start", () => {
  const reason = new Error('Ctrl-C')
  using late = startDeadline('late', 1000, { signal: AbortSignal.abort(reason) })
  assert.equal(late.signal.reason, reason)
  const caller = new AbortController()
  using early = startDeadline('early', 1000, { signal: caller.signal })
  caller.abort(reason)
  assert.equal(early.signal.reason, reason)
})

test('a poll ends with what it saw, with the deadline, or with what the look throws', async () => {
  const clock = hurriedClock()
  let looks = 0
  const seen = await pollUntil('it', () => (++looks === 3 ? 'there' : undefined), {
    deadlineMs: 1000,
    clock,
  })
  assert.deepEqual([seen, looks], ['there', 3])
  await assert.rejects(
    pollUntil('nothing', () => false, { deadlineMs: 100, clock }),
    { code: 'base.deadline_exceeded' },
  )
  const fault = new Error('broken')
  const look = () => {
    throw fault
  }
  await assert.rejects(pollUntil('it', look, { deadlineMs: 100, clock }), fault)
})

test('an aborted sleep ends with the reason of its signal', async () => {
  const reason = new Error('stop')
  const controller = new AbortController()
  const sleeping = systemClock.sleep(60_000, controller.signal)
  controller.abort(reason)
  await assert.rejects(sleeping, reason)
})

test('a wait is never longer than its cap, nor than base times two to the attempt', () => {
  const bounds = fc.record({ baseMs: fc.nat(1000), capMs: fc.nat(60_000) })
  fc.assert(
    fc.property(fc.nat(100), bounds, fc.integer(), (attempt, backoff, seed) => {
      const waitMs = backoffMs(attempt, backoff, seededRandom(seed))
      assert(waitMs >= 0 && waitMs <= Math.min(backoff.capMs, backoff.baseMs * 2 ** attempt))
    }),
  )
})

const options = { operation: 'calling', baseMs: 10, capMs: 100, random: seededRandom(1) }

test('a transient failure is tried again, another is not', async () => {
  let calls = 0
  const call = async () => {
    calls += 1
    if (calls < 4) throw new Error('busy')
    return 'done'
  }
  const clock = hurriedClock()
  const answer = await retry(call, {
    ...options,
    deadlineMs: 10_000,
    isTransient: () => true,
    clock,
  })
  assert.deepEqual([answer, calls], ['done', 4])
  calls = 0
  await assert.rejects(
    retry(call, { ...options, deadlineMs: 10_000, isTransient: () => false, clock }),
    /busy/,
  )
  assert.equal(calls, 1)
})

test('when time is up a retry fails with the last error, which says why', async () => {
  const call = () => Promise.reject(new Error('still busy'))
  await assert.rejects(
    retry(call, { ...options, deadlineMs: 500, isTransient: () => true, clock: hurriedClock() }),
    /still busy/,
  )
})

test('a queue gives what it took, in order, and refuses beyond its bound', () => {
  const operations = fc.array(fc.oneof(fc.nat(), fc.constant('poll' as const)))
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), operations, (capacity, steps) => {
      const queue = new BoundedQueue<number>(capacity)
      const model: number[] = []
      for (const step of steps) {
        if (step === 'poll') assert.equal(queue.poll(), model.shift())
        else {
          const fits = model.length < capacity
          assert.equal(queue.offer(step), fits)
          if (fits) model.push(step)
        }
        assert.equal(queue.size, model.length)
      }
    }),
  )
})

test('takers are served in order, and one that gave up takes nothing', async () => {
  const queue = new BoundedQueue<string>(4)
  const gone = new AbortController()
  const first = queue.take()
  const second = queue.take(gone.signal)
  const third = queue.take()
  gone.abort(new Error('gone'))
  await assert.rejects(second, /gone/)
  assert(queue.offer('a') && queue.offer('b'))
  assert.deepEqual(await Promise.all([first, third]), ['a', 'b'])
  assert.equal(queue.size, 0)
})
