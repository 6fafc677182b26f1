import assert from 'node:assert/strict'
import test from 'node:test'
import { SimFailure } from './failure.ts'
import type { NodeEnv } from './node.ts'
import { World } from './world.ts'

/** Some traffic with everything in it. */
function busyWorld(seed: number): World {
  const world = new World({ seed })
  const ids = ['a', 'b', 'c']
  for (const id of ids) {
    world.addNode(id, (env) => {
      env.network.bind((payload, from) => env.log('heard', { payload, from }))
      const tick = () => {
        env.network.send(ids[env.random.int(3)] ?? 'a', env.random.int(100))
        env.disk.append('log.append', 'log', env.random.bytes(10))
        env.clock.setTimer(tick, env.random.int(50) + 1)
      }
      tick()
    })
  }
  world.startFaults({
    lossRatio: 0.2,
    crashEveryMs: 500,
    partitionEveryMs: 500,
    skewEveryMs: 100,
    diskCrashRatio: 0.01,
  })
  return world
}

const failureOf = (body: () => void): SimFailure => {
  try {
    body()
  } catch (error) {
    assert.ok(error instanceof SimFailure)
    return error
  }
  throw new Error('nothing failed')
}

test('the same seed gives the same history, another seed another one', () => {
  const hash = (seed: number) => {
    const world = busyWorld(seed)
    world.run({ forMs: 10_000 })
    return world.historyHash
  }
  assert.equal(hash(7), hash(7))
  assert.notEqual(hash(7), hash(8))
})

test('a run cut into pieces is the same run', () => {
  const whole = busyWorld(3)
  whole.run({ forMs: 5_000 })
  const pieces = busyWorld(3)
  for (let at = 0; at < 50; at += 1) pieces.run({ forMs: 100 })
  assert.equal(pieces.historyHash, whole.historyHash)
})

test('a broken invariant names seed, replay, cause and instant, and shows the last moments', () => {
  const world = new World({ seed: 42, replay: 'npm run sim -- example --seed 42' })
  let value = 0
  const store = (given: number) => {
    value = given
  }
  world.addNode('n1', (env) => env.network.bind((message) => store(Number(message))))
  const n2 = world.addNode('n2', (env) => env)
  world.invariant('the value stays below 3', () => assert.ok(value < 3, `it is ${value}`))
  for (const number of [1, 2, 3, 4])
    world.after(number * 10, () => n2.app.network.send('n1', number))
  const failure = failureOf(() => world.run({ forMs: 1_000 }))
  assert.equal(failure.code, 'sim.invariant_broken')
  for (const part of [
    'expected: the value stays below 3',
    'because: it is 3',
    'seed:    42',
    'npm run sim -- example --seed 42',
    'sent -> n1 3',
    'received <- n2 3',
  ]) {
    assert.ok(failure.message.includes(part), `${part} is missing in\n${failure.message}`)
  }
  assert.equal(failure.message.includes('n1 4'), false, 'it went on after the failure')
  assert.ok(world.nowMs < 40)
})

test('what nodes throw, what never happens and what does not hold in the end are failures', () => {
  const throwing = new World({ seed: 1 })
  throwing.addNode('n', ({ clock }) => clock.setTimer(() => assert.fail('oh'), 5))
  assert.equal(failureOf(() => throwing.run({ forMs: 10 })).code, 'sim.node_threw')

  const idle = new World({ seed: 1 })
  const never = failureOf(() => idle.eventually('pigs fly', () => false, { withinMs: 100 }))
  assert.deepEqual([never.code, never.what], ['sim.never_happened', 'expected: pigs fly'])

  const noisy = new World({ seed: 1 })
  noisy.addNode('n', ({ clock }) => {
    const tick = () => void clock.setTimer(tick, 10)
    tick()
  })
  assert.equal(failureOf(() => noisy.runUntilQuiet({ eventsMax: 100 })).code, 'sim.never_happened')
  noisy.finally('two and two are five', () => assert.equal(2 + 2, 5))
  assert.equal(failureOf(() => noisy.finish()).code, 'sim.final_check_failed')
})

test('a world in which time stands still is found out', () => {
  const world = new World({ seed: 1 })
  const again = () => void world.after(0, again)
  again()
  assert.equal(failureOf(() => world.run({ forMs: 1 })).code, 'sim.time_stuck')
})

const rollRealDice = (): number => Reflect.get(Math, 'random')()

test('the real clock and the real dice are out of reach inside, and back afterwards', () => {
  for (const reach of [
    () => Date.now(),
    () => new Date(),
    rollRealDice,
    () => setTimeout(assert.fail, 1),
  ]) {
    const world = new World({ seed: 1 })
    world.addNode('n', ({ clock }) => clock.setTimer(() => void reach(), 5))
    const failure = failureOf(() => world.run({ forMs: 10 }))
    assert.match(failure.message, /was called inside the simulation/)
  }
  assert.ok(Date.now() > 0 && rollRealDice() < 1 && new Date() instanceof Date)
})

test('heal brings every node up and every link together', () => {
  const world = busyWorld(5)
  world.run({ forMs: 5_000 })
  world.heal()
  world.run({ forMs: 1 })
  assert.ok(world.nodes.every((node) => node.isUp))
  assert.equal(world.partitions.count, 0)
  const before = world.network.counts('a', 'b')
  world.run({ forMs: 5_000 })
  const after = world.network.counts('a', 'b')
  assert.equal(after.dropped, before.dropped)
  assert.ok(after.received > before.received)
})

test('each seed leaves out other kinds of fault, and none of those that stay loses its details', () => {
  const plan = { lossRatio: 0.1, crashEveryMs: 100, downForMs: 7, skewEveryMs: 50 }
  const kept = new Set<string>()
  for (let seed = 0; seed < 60; seed += 1) {
    const world = new World({ seed })
    const left = world.startFaults(plan).plan
    assert.equal(left.downForMs, 7)
    kept.add(Object.keys(left).join())
  }
  assert.equal(kept.size, 8)
})

async function asyncStory(seed: number) {
  const world = new World({ seed })
  const lines: string[] = []
  const boot = async (env: NodeEnv) => {
    const disk = env.asyncDisk
    await disk.append('log.append', 'log', new Uint8Array(4))
    await disk.fsync('log.fsync', 'log')
    lines.push(`${env.id} synced at ${world.nowMs.toFixed(3)}`)
    const waits = [30, 10, 20].map(async (ms) => {
      await env.clock.sleep(ms)
      lines.push(`${env.id} ${ms}`)
    })
    await Promise.all(waits)
    return `${env.id} is ready`
  }
  const nodes = ['a', 'b'].map((id) => world.addNode(id, boot))
  await world.eventuallyAsync('both are ready', () => nodes.every(({ isReady }) => isReady), {
    withinMs: 1_000,
  })
  return { lines, hash: world.historyHash, apps: nodes.map(({ app }) => app) }
}

test('code that awaits runs the same way each time', async () => {
  const first = await asyncStory(1)
  assert.deepEqual(first.apps, ['a is ready', 'b is ready'])
  assert.deepEqual(await asyncStory(1), first)
  assert.notDeepEqual((await asyncStory(2)).lines, first.lines)
})

test('awaiting code that dies leaves no rejection behind, and lives again at the next boot', async () => {
  const world = new World({ seed: 1 })
  const passed: string[] = []
  const node = world.addNode('n', (env) => {
    const work = async () => {
      await env.clock.sleep(10)
      try {
        env.disk.append('log.append', 'log', new Uint8Array(1))
      } catch (error) {
        throw new Error('the log is gone', { cause: error })
      }
      passed.push('appended')
      await env.asyncDisk.fsync('log.fsync', 'log')
      passed.push('synced')
    }
    void work()
  })
  node.disk.crashAt({ nth: 1, when: 'before' })
  await world.runAsync({ forMs: 100 })
  assert.deepEqual([node.isUp, passed.length], [false, 0])
  node.start()
  node.disk.crashAt({ operation: 'log.fsync', nth: 1, when: 'after', kind: 'process' })
  await world.runAsync({ forMs: 100 })
  assert.deepEqual(passed, ['appended'])
  node.start()
  await world.runAsync({ forMs: 100 })
  assert.deepEqual(passed, ['appended', 'appended', 'synced'])
})

test('a rejection that living code lets escape fails the run', async () => {
  const world = new World({ seed: 1 })
  world.addNode('n', (env) => {
    const work = async () => {
      await env.clock.sleep(10)
      throw new Error('nobody listens')
    }
    void work()
  })
  await assert.rejects(world.runAsync({ forMs: 100 }), /nobody listens/)
})

test('an aborted sleep rejects with the reason of the signal', async () => {
  const world = new World({ seed: 1 })
  const node = world.addNode('n', (env) => env)
  const controller = new AbortController()
  const reasons: unknown[] = []
  node.app.clock.sleep(100, controller.signal).catch((reason: unknown) => reasons.push(reason))
  world.after(10, () => controller.abort('enough'))
  await world.runUntilQuietAsync({ withinMs: 200 })
  assert.deepEqual(reasons, ['enough'])
  assert.equal(world.nowMs, 200)
})
