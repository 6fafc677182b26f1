import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import { BackhaulError } from './errors.ts'
import { encodeFrame, FrameKind, HEADER_BYTES, HEARS_LEAVING } from './frame.ts'
import { DEAD_MS, LinkCore, PING_MS } from './link-core.ts'
import { Ear, FACTS, LinkPair } from './link-pair.fixture.ts'
import { ResetReason, WINDOW_BYTES } from './link-stream.ts'
import { decodeOpen, encodeOpen } from './open-facts.ts'

const nothing = () => undefined
const QUIET = {
  ...{ writable: nothing, hello: nothing, measured: nothing, goingAway: nothing },
  leaving: nothing,
}
const pair = (seed = 1) => new LinkPair(seededRandom(seed))

test('facts of a connection survive encode and decode, and any other bytes are refused or facts', () => {
  const texts = fc.string({ maxLength: 60 }).map((text) => text.toWellFormed())
  const ports = fc.integer({ min: 0, max: 65_535 })
  const facts = fc.record(
    {
      ...{ machine: texts, internalPort: ports, publicPort: ports, isHttp: fc.boolean() },
      ...{ hasAlternatives: fc.boolean(), clientAddress: texts, clientPort: ports },
      ...{ localAddress: texts, tlsVersion: texts, serverName: texts, alpn: texts },
      requestId: texts,
    },
    { noNullPrototype: true },
  )
  fc.assert(fc.property(facts, (one) => assert.deepEqual(decodeOpen(encodeOpen(one)), one)))
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        decodeOpen(Buffer.from(bytes))
      } catch (error) {
        assert(error instanceof BackhaulError)
      }
    }),
  )
})

test('a request and its answer cross the link, with the facts, and both directions end', () => {
  const link = pair()
  const edge = new Ear()
  const id = link.open(edge)
  link.edge.send(id, Buffer.from('request'))
  link.edge.end(id)
  link.settle()
  const worker = link.ears.get(id) as Ear
  assert.deepEqual([worker.text, worker.isEnded], ['request', true])
  assert.deepEqual(link.facts, [FACTS])
  link.worker.send(id, Buffer.from('answer'))
  link.worker.end(id, true)
  link.settle()
  assert.deepEqual([edge.text, edge.isEnded, edge.isReusable, edge.load], ['answer', true, true, 1])
  assert.deepEqual([link.edge.streamCount, link.worker.streamCount], [0, 0])
})

test('half-closed, a stream still carries the other direction', () => {
  const link = pair()
  const edge = new Ear()
  const id = link.open(edge)
  link.worker.end(id)
  link.settle()
  link.worker.end(id)
  link.settle()
  assert.equal(edge.isEnded, true)
  link.edge.send(id, Buffer.from('still here'))
  link.edge.end(id)
  link.settle()
  assert.equal(link.ears.get(id)?.text, 'still here')
  assert.equal(link.edge.streamCount, 0)
})

test('a refusal is the last word: what was sent to it goes nowhere', () => {
  const link = pair()
  link.onOpen = (id) => link.worker.refuse(id, 'PM11', 7)
  const edge = new Ear()
  const id = link.open(edge)
  link.edge.send(id, Buffer.from('request'))
  link.settle()
  assert.deepEqual([edge.refusal, edge.load, link.edge.streamCount], ['PM11', 7, 0])
})

test('a reset ends both directions, in either direction, and nothing is heard after it', () => {
  const link = pair()
  const edge = new Ear()
  const id = link.open(edge)
  link.settle()
  link.worker.reset(id, ResetReason.broken)
  link.edge.send(id, Buffer.from('late'))
  link.settle()
  assert.equal(edge.resetReason, ResetReason.broken)
  assert.equal(link.ears.get(id)?.text, '')
  assert.deepEqual([link.edge.streamCount, link.worker.streamCount], [0, 0])
})

test('a stream whose reader is slow holds one window, and no other stream', () => {
  const link = pair()
  link.onOpen = (id, ear) => {
    ear.isConsuming = link.ears.size > 1
    link.worker.accept(id, 1, 1)
  }
  const slow = link.open(new Ear())
  const big = Buffer.alloc(10 * WINDOW_BYTES, 1)
  assert.equal(link.edge.send(slow, big), false)
  link.settle()
  const fast = link.open(new Ear())
  link.edge.send(fast, Buffer.alloc(10 * WINDOW_BYTES, 2))
  link.settle()
  assert.equal(link.ears.get(slow)?.bytes, WINDOW_BYTES)
  assert.equal(link.ears.get(fast)?.bytes, 10 * WINDOW_BYTES)
})

test('streams that have much to send take turns, a frame each', () => {
  const link = pair()
  const first = link.open(new Ear())
  const second = link.open(new Ear())
  for (const id of [first, second]) link.edge.send(id, Buffer.alloc(WINDOW_BYTES))
  const frames = link.edge
    .pull(100_000)
    .filter((bytes) => bytes.length === HEADER_BYTES && bytes[0] === FrameKind.data)
    .map((bytes) => bytes.readUInt32BE(4))
  assert.deepEqual(frames.slice(0, 4), [first, second, first, second])
})

test('a peer that sends more than its window loses the stream, not the link', () => {
  const link = pair()
  link.onOpen = (id, ear) => {
    ear.isConsuming = false
    link.worker.accept(id, 1, 1)
  }
  const edge = new Ear()
  const id = link.open(edge)
  link.settle()
  const frame = encodeFrame(FrameKind.data, id, Buffer.alloc(16_384))
  for (let sent = 0; sent <= WINDOW_BYTES; sent += 16_384) link.worker.receive(frame, link.nowMs)
  link.settle()
  assert.equal(edge.resetReason, ResetReason.flowControl)
  const next = link.open(new Ear())
  link.settle()
  assert.ok(link.ears.has(next))
})

test('silence is a dead path, a process that was stalled itself proves nothing', () => {
  const link = pair()
  link.settle()
  for (let at = 0; at < DEAD_MS; at += 100) {
    link.nowMs += 100
    assert.equal(link.edge.tick(link.nowMs), at + 100 >= DEAD_MS, `after ${at + 100} ms`)
  }
  const stalled = pair()
  stalled.settle()
  assert.equal(stalled.edge.tick(stalled.nowMs + 60_000), false)
  assert.equal(stalled.edge.tick(stalled.nowMs + 60_000 + PING_MS), false)
  assert.equal(stalled.edge.tick(stalled.nowMs + 60_000 + 2 * PING_MS), false)
  assert.equal(stalled.edge.tick(stalled.nowMs + 60_000 + 3 * PING_MS), true)
})

test('pings measure the round trip while there is nothing else', () => {
  const link = pair()
  link.settle()
  link.nowMs += PING_MS
  link.edge.tick(link.nowMs)
  link.worker.receive(Buffer.concat(link.edge.pull(1_000)), link.nowMs)
  link.nowMs += 40
  link.edge.receive(Buffer.concat(link.worker.pull(1_000)), link.nowMs)
  assert.deepEqual(link.rttsUs, [40_000])
})

test('going away: no new streams, the others end in peace', () => {
  const link = pair()
  const edge = new Ear()
  const id = link.open(edge)
  link.settle()
  link.worker.goAway()
  link.settle()
  assert.equal(link.edge.open(FACTS, new Ear()), undefined)
  link.worker.send(id, Buffer.from('answer'))
  link.settle()
  assert.equal(edge.text, 'answer')
})

test('a machine that leaves is told to the edge, unless that is one of before the word was known', () => {
  const link = pair()
  const ear = new Ear()
  const id = link.open(ear)
  link.settle()
  link.worker.leaving('m1')
  link.settle()
  assert.deepEqual(link.left, ['m1'])
  assert.equal(ear.isLeaving, false)
  link.worker.leaveStreams()
  link.settle()
  assert.deepEqual([link.left, ear.isLeaving], [['m1'], true], 'streams that are about to end')
  assert.equal(link.edge.streamCount, 1, 'nothing ends by that')
  link.edge.leaving('m2')
  assert.throws(() => link.settle(), { code: 'backhaul.malformed' }, 'a worker hears of none')
  const words = { ...QUIET, opened: () => new Ear() }
  for (const [flags, heard] of [
    [HEARS_LEAVING, true],
    [0, false],
  ] as const) {
    const worker = new LinkCore(false, 'h2', words, 0)
    worker.receive(encodeFrame(FrameKind.hello, 0, Buffer.from('\u0001h1'), flags), 0)
    worker.pull(1_000)
    worker.receive(encodeFrame(FrameKind.open, 1, encodeOpen(FACTS)), 0)
    worker.leaveStreams()
    assert.equal(worker.hasOutput, heard)
    worker.pull(1_000)
    worker.leaving('m1')
    assert.equal(worker.hasOutput, heard)
  }
  assert.ok(link.ears.has(id))
})

/** Streams that write and end at random, over a link that is cut after some bytes or not at all. */
function story(seed: number, cutAfterBytes: number): void {
  const random = seededRandom(seed)
  const link = new LinkPair(random)
  link.budgetBytes = cutAfterBytes
  const streams = new Map<number, { ear: Ear; sent: string; back: string; isEnded: boolean }>()
  const back = (id: number) => streams.get(id) as NonNullable<ReturnType<typeof streams.get>>
  link.onOpen = (id) => link.worker.accept(id, 1, 1)
  for (let step = 0; step < 100; step += 1) {
    const ids = [...streams.keys()]
    const kind = random.int(5)
    if (kind === 0 || ids.length === 0) {
      const ear = new Ear()
      streams.set(link.open(ear), { ear, sent: '', back: '', isEnded: false })
    } else {
      const id = ids[random.int(ids.length)] as number
      const stream = back(id)
      const text = String.fromCharCode(97 + random.int(26)).repeat(random.int(30_000))
      if (stream.isEnded) continue
      if (kind === 1 && random.int(4) === 0 && link.ears.has(id)) {
        stream.isEnded = true
        link.edge.end(id)
        link.worker.end(id)
      } else if (kind < 4) {
        link.edge.send(id, Buffer.from(text, 'latin1'))
        stream.sent += text
      } else if (link.ears.has(id)) {
        link.worker.send(id, Buffer.from(text, 'latin1'))
        stream.back += text
      }
    }
    link.step()
  }
  link.settle()
  const isCut = link.budgetBytes <= 0
  if (isCut) {
    link.edge.down()
    link.worker.down()
  }
  for (const [id, { ear, sent, back: answered, isEnded }] of streams) {
    const worker = link.ears.get(id)
    assert.ok(
      sent.startsWith(worker?.text ?? ''),
      'bytes in order, none twice, none of another stream',
    )
    assert.ok(answered.startsWith(ear.text))
    if (isCut) continue
    assert.equal(worker?.text.length, sent.length)
    assert.equal(ear.text.length, answered.length)
    if (isEnded) assert.deepEqual([worker?.isEnded, ear.isEnded], [true, true])
  }
  if (isCut) assert.deepEqual([link.edge.streamCount, link.worker.streamCount], [0, 0])
}

test('whatever is sent arrives whole and in order; cut at any byte, what arrived is a beginning of it', () => {
  for (let seed = 1; seed <= 25; seed += 1) {
    story(seed, Number.POSITIVE_INFINITY)
    story(seed, seededRandom(seed).int(700_000))
  }
})

test('no bytes at all make a core throw anything but that they are malformed', () => {
  const frames = fc
    .record({
      kind: fc.integer({ min: 0, max: 12 }),
      stream: fc.integer({ min: 0, max: 4 }),
      payload: fc.uint8Array({ maxLength: 20 }),
    })
    .map(({ kind, stream, payload }) =>
      encodeFrame(kind as FrameKind, stream, Buffer.from(payload), kind % 2),
    )
  const rubbish = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes))
  const hello = encodeFrame(FrameKind.hello, 0, Buffer.from('\u0001h9'))
  const handlers = { ...QUIET, opened: () => new Ear() }
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(fc.oneof({ weight: 5, arbitrary: frames }, rubbish), { maxLength: 20 }),
      (isOpener, chunks) => {
        const core = new LinkCore(isOpener, 'h1', handlers, 0)
        if (isOpener) core.open(FACTS, new Ear())
        try {
          core.receive(hello, 0)
          for (const chunk of chunks) core.receive(chunk, 0)
        } catch (error) {
          assert(error instanceof BackhaulError, String(error))
        }
        core.pull(1_000_000)
        core.down()
      },
    ),
    { numRuns: 2_000 },
  )
})
