import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '#base'
import { queryPacket } from '../fixture/world.ts'
import type { Handler } from '../resolver.ts'
import { listenTcp } from '../server/tcp.ts'
import { listenUdp } from '../server/udp.ts'
import { RCODE, TYPE } from '../wire/constants.ts'
import { parseQuery, type Query } from '../wire/query.ts'
import { soaData } from '../wire/record-data.ts'
import { type Answer, type ResourceRecord, writeReply } from '../wire/reply.ts'
import { Upstream } from './upstream.ts'

const LOOPBACK = { address: '127.0.0.1', port: 0 }
const TRY_MS = 10_000

const record = (ttlSeconds: number, count = 1): ResourceRecord[] =>
  Array.from({ length: count }, (_, at) => ({
    type: TYPE.A,
    ttlSeconds,
    data: Buffer.of(192, 0, 2, at % 256),
  }))

const positive = (answers: readonly ResourceRecord[]): Answer => ({
  rcode: RCODE.NOERROR,
  isAuthoritative: false,
  answers,
  authority: [],
})

function negative(rcode: number, ttlSeconds: number, minimumSeconds: number): Answer {
  const data = soaData({ primary: ['a'], mailbox: ['b'], serial: 1, minimumSeconds })
  const authority = [{ type: TYPE.SOA, ttlSeconds, data, ownerLabels: 1 }]
  return { rcode, isAuthoritative: false, answers: [], authority }
}

/** A real resolver on loopback that says `answer`, and a client of it whose time is set by hand. */
async function world(first: Answer) {
  const state = { answer: first as Answer | undefined, asked: [] as string[], nowMs: 0 }
  const handle: Handler = (packet, _source, channel) => {
    const query = parseQuery(packet)
    assert.equal(query.kind, 'query')
    state.asked.push(channel)
    const servfail = { ...positive([]), rcode: RCODE.SERVFAIL }
    return writeReply(packet, query, state.answer ?? servfail, channel)
  }
  const stack = new AsyncDisposableStack()
  const udp = stack.use(await listenUdp(LOOPBACK, handle))
  stack.use(await listenTcp({ ...LOOPBACK, port: udp.port }, handle))
  const clock = { ...systemClock, monotonicMs: () => state.nowMs }
  const endpoints = [{ ...LOOPBACK, port: udp.port }]
  const upstream = new Upstream({ endpoints, tryMs: TRY_MS, staleMs: 60_000, clock })
  const packet = queryPacket('www.example.org', TYPE.A)
  const query = parseQuery(packet) as Query
  return {
    state,
    ask: () => upstream.ask(packet, query),
    ttlOf: (response: Buffer) => response.readUInt32BE(query.questionEnd + 6),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

test('an answer is kept for its TTL, which counts down, and then asked again', async () => {
  await using here = await world(positive(record(100)))
  assert.equal(here.ttlOf(await here.ask()), 100)
  here.state.nowMs = 40_500
  assert.equal(here.ttlOf(await here.ask()), 60)
  assert.equal(here.state.asked.length, 1)
  here.state.nowMs = 100_000
  assert.equal(here.ttlOf(await here.ask()), 100)
  assert.equal(here.state.asked.length, 2)
})

test('an expired answer stands in for upstreams that fail, for a time', async () => {
  await using here = await world(positive(record(100)))
  await here.ask()
  here.state.answer = undefined
  here.state.nowMs = 130_000
  assert.equal(here.ttlOf(await here.ask()), 30)
  here.state.nowMs = 160_000
  await assert.rejects(here.ask(), { code: 'dns.upstream_failed' })
})

test('that a name is not there is kept as long as its SOA says, and no failure is kept', async () => {
  for (const rcode of [RCODE.NXDOMAIN, RCODE.NOERROR]) {
    await using here = await world(negative(rcode, 300, 20))
    await here.ask()
    here.state.nowMs = 19_999
    assert.equal((await here.ask()).readUInt16BE(2) & 0xf, rcode)
    assert.equal(here.state.asked.length, 1)
    here.state.nowMs = 20_000
    await here.ask()
    assert.equal(here.state.asked.length, 2)
    here.state.answer = { ...positive([]), rcode }
    here.state.nowMs = 90_000
    await here.ask()
    await here.ask()
    assert.equal(here.state.asked.length, 4, 'without an SOA it is not kept')
  }
})

test('an answer that UDP cuts is asked for again over TCP, and kept whole', async () => {
  await using here = await world(positive(record(100, 400)))
  const answer = await here.ask()
  assert.deepEqual([answer.readUInt16BE(6), answer.readUInt16BE(2) & 0x0200], [400, 0])
  assert.deepEqual(here.state.asked, ['udp', 'tcp'])
  assert.equal((await here.ask()).readUInt16BE(6), 400)
  assert.equal(here.state.asked.length, 2)
})
