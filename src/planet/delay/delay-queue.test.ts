import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import { DelayQueue } from './delay-queue.ts'

const BYTES_MAX = 64
const FRAMES_MAX = 8

type Operation =
  | { readonly type: 'offer'; readonly bytes: number }
  | { readonly type: 'pass'; readonly us: number }
  | { readonly type: 'setDelay'; readonly delayUs: number; readonly jitterUs: number }

const delays = fc.nat({ max: 100 })
const operations: fc.Arbitrary<Operation[]> = fc.array(
  fc.oneof(
    fc.record(
      { type: fc.constant('offer' as const), bytes: fc.integer({ min: 1, max: 40 }) },
      { noNullPrototype: true },
    ),
    fc.record(
      { type: fc.constant('pass' as const), us: fc.nat({ max: 80 }) },
      { noNullPrototype: true },
    ),
    fc.record(
      { type: fc.constant('setDelay' as const), delayUs: delays, jitterUs: delays },
      { noNullPrototype: true },
    ),
  ),
  { maxLength: 200 },
)

/** A queue with its ring, and beside it the plain list that it must agree with. */
class Trial {
  readonly queue = new DelayQueue({
    bytesMax: BYTES_MAX,
    framesMax: FRAMES_MAX,
    delayUs: 50,
    random: seededRandom(1),
  })
  readonly ring = new Uint8Array(BYTES_MAX)
  readonly held: { mark: number; bytes: number; arrivedUs: number; delayUs: number }[] = []
  nowUs = 0
  marks = 0
  dropped = 0

  run(operation: Operation): void {
    if (operation.type === 'offer') this.offer(operation.bytes)
    else if (operation.type === 'pass') this.pass(operation.us)
    else this.queue.setDelay(operation.delayUs, operation.jitterUs)
    assert.equal(this.queue.frameCount, this.held.length)
    assert.equal(this.queue.droppedFrames, this.dropped)
    assert.equal(this.queue.heldBytes, this.heldBytes)
    assert(this.queue.heldBytes <= BYTES_MAX && this.queue.frameCount <= FRAMES_MAX)
  }

  offer(bytes: number): void {
    const fits = this.held.length < FRAMES_MAX && this.heldBytes + bytes <= BYTES_MAX
    this.marks = (this.marks + 1) & 0xff
    const mark = this.marks
    // As the shell does: bytes first, when there is room, then the offer.
    const offset = this.queue.tailOffset
    if (fits) for (let at = 0; at < bytes; at += 1) this.ring[(offset + at) % BYTES_MAX] = mark
    assert.equal(this.queue.offer(bytes, this.nowUs), fits)
    const { delayUs } = this.queue
    if (fits) this.held.push({ mark, bytes, arrivedUs: this.nowUs, delayUs })
    else this.dropped += 1
  }

  pass(us: number): void {
    this.nowUs += us
    while (this.queue.isDue(this.nowUs)) {
      const expected = this.held.shift()
      assert(expected !== undefined, 'a frame came out that never went in')
      assert(expected.arrivedUs + expected.delayUs <= this.nowUs, 'released early')
      const { headOffset, headBytes } = this.queue
      assert.equal(headBytes, expected.bytes)
      for (let at = 0; at < headBytes; at += 1) {
        assert.equal(this.ring[(headOffset + at) % BYTES_MAX], expected.mark, 'overwritten')
      }
      this.queue.shift()
    }
  }

  get heldBytes(): number {
    return this.held.reduce((sum, { bytes }) => sum + bytes, 0)
  }
}

test('frames come out whole, in order, never early, within the bounds, and drops are counted', () => {
  fc.assert(
    fc.property(operations, (sequence) => {
      const trial = new Trial()
      for (const operation of sequence) trial.run(operation)
      trial.queue.setDelay(0, 0)
      trial.pass(1000)
      assert.equal(trial.held.length, 0, 'a frame never came out')
    }),
  )
})

test('without jitter a frame is due exactly when its delay has passed', () => {
  const { queue } = new Trial()
  queue.offer(10, 1000)
  assert.equal(queue.nextReleaseUs, 1050)
  assert.equal(queue.isDue(1049.9), false)
  assert.equal(queue.isDue(1050), true)
})

test('a delay that is shortened does not let a frame overtake the one ahead of it', () => {
  const { queue } = new Trial()
  queue.offer(1, 0)
  queue.setDelay(1, 0)
  queue.offer(2, 10)
  queue.shift()
  assert.equal(queue.nextReleaseUs, 50)
})

test('jitter stays within its bound', () => {
  const { queue } = new Trial()
  queue.setDelay(50, 20)
  for (let round = 0; round < 200; round += 1) {
    const nowUs = round * 1000
    queue.offer(1, nowUs)
    assert(queue.nextReleaseUs >= nowUs + 50 && queue.nextReleaseUs < nowUs + 70)
    queue.shift()
  }
})

test('a queue that runs empty begins at the start of its ring again', () => {
  const { queue } = new Trial()
  for (let round = 0; round < 100; round += 1) {
    queue.offer(30, round)
    queue.shift()
  }
  assert.equal(queue.reachedBytes, 30)
})
