import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { regionLatency } from './links.ts'
import type { NetworkOptions } from './network.ts'
import type { NodeEnv } from './node.ts'
import { World } from './world.ts'

/** Nodes that keep what they receive, as `from:payload`. */
function talkers(ids: readonly string[], network: NetworkOptions = {}, seed = 1) {
  const world = new World({ seed, network })
  const heard = new Map<string, string[]>(ids.map((id) => [id, []]))
  const envs = new Map<string, NodeEnv>()
  for (const id of ids) {
    world.addNode(id, (env) => {
      envs.set(id, env)
      env.network.bind((payload, from) => heard.get(id)?.push(`${from}:${payload}`))
    })
  }
  const send = (from: string, to: string, payload: unknown) =>
    envs.get(from)?.network.send(to, payload)
  const heardBy = (id: string) => heard.get(id) ?? []
  return { world, send, heardBy }
}

test('a cut direction delivers nothing while the other one does', () => {
  const { world, send, heardBy } = talkers(['a', 'b'])
  const cut = world.partitions.cut(['a'], ['b'])
  send('a', 'b', 1)
  send('b', 'a', 2)
  world.run({ forMs: 100 })
  assert.deepEqual([heardBy('a'), heardBy('b')], [['b:2'], []])
  cut[Symbol.dispose]()
  send('a', 'b', 3)
  world.run({ forMs: 100 })
  assert.deepEqual(heardBy('b'), ['a:3'])
  assert.deepEqual(world.network.counts('a', 'b'), {
    sent: 2,
    received: 1,
    dropped: 1,
    sentBytes: 0,
  })
})

test('a partition lets through what stays in its groups, whatever the groups are', () => {
  const ids = ['a', 'b', 'c', 'd', 'e']
  const sides = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 5, maxLength: 5 })
  fc.assert(
    fc.property(sides, (side) => {
      const { world, send, heardBy } = talkers(ids)
      const groups = [0, 1, 2].map((group) => ids.filter((_, at) => side[at] === group))
      const partition = world.partitions.split(...groups)
      const sendAll = () => {
        for (const from of ids) for (const to of ids) send(from, to, 'x')
      }
      sendAll()
      world.run({ forMs: 100 })
      ids.forEach((id, at) => {
        const expected = ids
          .filter((_, other) => side[other] === side[at])
          .map((from) => `${from}:x`)
        assert.deepEqual(heardBy(id).toSorted(), expected)
      })
      partition[Symbol.dispose]()
      sendAll()
      world.run({ forMs: 100 })
      for (const id of ids) assert.equal(new Set(heardBy(id)).size, ids.length)
    }),
    { numRuns: 30 },
  )
})

test('overlapping cuts heal one by one, and what is in flight when one begins is lost', () => {
  const { world, send, heardBy } = talkers(['a', 'b'])
  send('a', 'b', 'in flight')
  const first = world.partitions.split(['a'], ['b'])
  const second = world.partitions.cut(['a'], ['b'])
  world.run({ forMs: 100 })
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  send('a', 'b', 'still cut')
  second[Symbol.dispose]()
  send('a', 'b', 'whole')
  world.run({ forMs: 100 })
  assert.deepEqual(heardBy('b'), ['a:whole'])
})

test('loss, duplication and overtaking come in the ratios that were asked for', () => {
  const link = { latencyMs: 1, jitterMs: 5, lossRatio: 0.3, duplicateRatio: 0.2 }
  const { world, send, heardBy } = talkers(['a', 'b'], { link })
  const count = 5_000
  for (let at = 0; at < count; at += 1) {
    send('a', 'b', at)
    world.run({ forMs: 1 })
  }
  world.runUntilQuiet({ withinMs: 100 })
  const numbers = heardBy('b').map((line) => Number(line.slice(2)))
  const distinct = new Set(numbers).size
  assert.ok(Math.abs(distinct / count - 0.7) < 0.03, `${distinct} of ${count} arrived`)
  assert.ok(Math.abs(numbers.length / distinct - 1.2) < 0.03, `${numbers.length} copies`)
  assert.ok(numbers.some((number, at) => at > 0 && number < (numbers[at - 1] ?? 0)))
})

test('latency comes from the matrix of regions, and bandwidth makes messages queue', () => {
  const world = new World({ seed: 1, network: { link: regionLatency({ fra: { nrt: 120 } }) } })
  let arrivedMs = 0
  const arrive = () => {
    arrivedMs = world.nowMs
  }
  const far = world.addNode('far', (env) => env, { region: 'fra' })
  world.addNode('near', (env) => env.network.bind(arrive), {
    region: 'nrt',
  })
  far.app.network.send('near', new Uint8Array(1000))
  world.runUntilQuiet({ withinMs: 1_000 })
  assert.ok(arrivedMs >= 120 && arrivedMs < 127, `${arrivedMs} ms`)
  world.network.links.change(0, 1, { bytesPerMs: 100, jitterMs: 0 })
  const startMs = world.nowMs
  far.app.network.send('near', new Uint8Array(1000))
  far.app.network.send('near', new Uint8Array(1000))
  world.runUntilQuiet({ withinMs: 1_000 })
  assert.equal(Math.round(arrivedMs - startMs), 140)
})

test('a datagram above the MTU is refused with EMSGSIZE', () => {
  const { send } = talkers(['a', 'b'], { mtuBytes: 100 })
  assert.throws(() => send('a', 'b', new Uint8Array(101)), { code: 'EMSGSIZE' })
})

test('frozen payloads: a sender that goes on writing to what it sent is caught', () => {
  const { send } = talkers(['a', 'b'], { freezePayloads: true })
  const message = { rows: [1, 2] }
  send('a', 'b', message)
  assert.throws(() => message.rows.push(3), TypeError)
})

test('another fault plan leaves the latencies of the other links as they were', () => {
  const arrivals = (lossRatio: number) => {
    const { world, send } = talkers(['a', 'b', 'c'])
    world.network.links.change(0, 1, { lossRatio })
    const times: number[] = []
    for (let at = 0; at < 20; at += 1) {
      send('a', 'b', at)
      send('c', 'b', at)
      world.run({ until: () => world.network.counts('c', 'b').received > at, forMs: 100 })
      times.push(world.nowMs)
      world.run({ forMs: 200 - (world.nowMs % 200) })
    }
    return times.map((ms) => (ms % 200).toFixed(6))
  }
  assert.deepEqual(arrivals(0.5), arrivals(0))
})
