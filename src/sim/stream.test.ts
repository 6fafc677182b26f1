import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import type { NodeEnv } from './node.ts'
import type { Stream } from './stream.ts'
import { World } from './world.ts'

/** A client that logs what its stream tells it, and a server that keeps what it receives. */
function pair(seed = 1, streamWindowMessages = 1_024) {
  const world = new World({ seed, network: { streamWindowMessages } })
  const received: unknown[] = []
  const told: string[] = []
  const ends: { server?: Stream; client?: Stream } = {}
  const server = world.addNode('server', (env) => {
    env.network.listen((stream) => {
      ends.server = stream
      return {
        received: (message) => received.push(message),
        closed: () => told.push('server closed'),
        reset: (reason) => told.push(`server ${reason}`),
      }
    }, 80)
  })
  const client = world.addNode('client', (env: NodeEnv) => env)
  const connect = (port = 80) => {
    ends.client = client.app.network.connect(
      'server',
      {
        opened: () => told.push('opened'),
        drained: () => told.push('drained'),
        closed: () => told.push('closed'),
        reset: (reason) => told.push(reason),
      },
      port,
    )
    world.run({ forMs: 100 })
    return ends.client
  }
  return { world, server, client, connect, received, told, ends }
}

test('whatever is lost, cut and healed, what arrives is a prefix in order, and all of it in the end', () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 1_000 }), { maxLength: 4 })
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e6 }), cuts, (seed, durations) => {
      const { world, connect, received } = pair(seed)
      world.network.links.change(1, 0, { lossRatio: 0.3, jitterMs: 20, reorderRatio: 0.5 })
      const stream = connect()
      world.run({ until: () => stream.isOpen, forMs: 5_000 })
      let offered = 0
      for (const durationMs of durations) {
        const cut = world.partitions.split(['client'], ['server'])
        for (let at = 0; at < 5; at += 1) assert.ok(stream.offer(offered++))
        world.run({ forMs: durationMs })
        cut[Symbol.dispose]()
        assert.deepEqual(received, [...Array(received.length).keys()])
      }
      world.eventually('all arrives', () => received.length === offered, { withinMs: 120_000 })
      assert.deepEqual(received, [...Array(offered).keys()])
    }),
    { numRuns: 50 },
  )
})

test('a port where nobody listens refuses', () => {
  const { connect, told } = pair()
  connect(81)
  assert.deepEqual(told, ['refused'])
})

test('a full window refuses, and says when there is room', () => {
  const { world, connect, told, received } = pair(1, 2)
  const stream = connect()
  assert.deepEqual([stream.offer(1), stream.offer(2), stream.offer(3)], [true, true, false])
  world.run({ forMs: 100 })
  assert.deepEqual(told, ['opened', 'drained'])
  assert.deepEqual(received, [1, 2])
})

test('close delivers what was offered before it; reset may not', () => {
  const { world, connect, told, received } = pair()
  const stream = connect()
  stream.offer('last words')
  stream.close()
  assert.equal(stream.offer('too late'), false)
  world.run({ forMs: 100 })
  assert.deepEqual(received, ['last words'])
  assert.deepEqual(told, ['opened', 'server closed'])
  const second = connect()
  second.reset()
  world.run({ forMs: 100 })
  assert.deepEqual(told.at(-1), 'server reset by peer')
})

test('a killed process resets its streams; a machine without power is silent until data times out', () => {
  const { world, server, connect, told } = pair()
  connect()
  server.crash('process')
  world.run({ forMs: 100 })
  assert.deepEqual(told, ['opened', 'reset by peer'])
  server.start()
  const stream = connect()
  server.crash('power')
  world.run({ forMs: 60_000 })
  assert.equal(stream.isOpen, true)
  stream.offer('anybody there?')
  world.run({ forMs: 60_000 })
  assert.deepEqual(told.slice(2), ['opened', 'timed out'])
})

test('a machine that booted again resets streams of its former life', () => {
  const { world, server, connect, told } = pair()
  const stream = connect()
  server.crash('power')
  server.start()
  stream.offer('remember me?')
  world.run({ forMs: 1_000 })
  assert.deepEqual(told, ['opened', 'reset by peer'])
})

test('where only the way back is cut, data arrives and the sender times out', () => {
  const { world, connect, told, received } = pair()
  const stream = connect()
  world.partitions.cut(['server'], ['client'])
  stream.offer(1)
  stream.offer(2)
  world.run({ forMs: 60_000 })
  assert.deepEqual(received, [1, 2])
  assert.deepEqual(told, ['opened', 'timed out'])
})
