import assert from 'node:assert/strict'
import test from 'node:test'
import { CrashSignal } from './errors.ts'
import type { NodeEnv } from './node.ts'
import { World } from './world.ts'

const bytes = (...values: number[]) => Uint8Array.from(values)

test('kill at every disk write, before and after it, leaves what the calls before it made durable', () => {
  const steps = ['write', 'sync', 'name', 'append', 'sync again'] as const
  const boot = (env: NodeEnv) => {
    if (env.disk.size('look', 'log') !== undefined) return
    env.disk.write('write', 'log', 0, bytes(1))
    env.disk.fsync('sync', 'log')
    env.disk.fsyncDirectory('name', '')
    env.disk.append('append', 'log', bytes(2))
    env.disk.fsync('sync again', 'log')
  }
  for (let seed = 1; seed <= 20; seed += 1) {
    for (const [at] of steps.entries()) {
      for (const when of ['before', 'after'] as const) {
        const world = new World({ seed })
        const node = world.addNode('n', (env) => boot(env))
        node.crash()
        for (const name of node.disk.image.list('')) node.disk.image.unlink('reset', name)
        node.disk.image.fsyncDirectory('')
        node.disk.crashAt({ nth: at + 1, when })
        node.start()
        assert.equal(node.isUp, false, 'it died in the call')
        const durable = at + (when === 'after' ? 1 : 0)
        const isThere = node.disk.image.size('log') !== undefined
        const size = node.disk.image.size('log') ?? 0
        if (durable >= 3) assert.ok(isThere && size >= 1, `${steps[at]} ${when}: the file is lost`)
        if (durable >= 5) assert.equal(size, 2)
        if (durable === 0) assert.equal(isThere, false)
      }
    }
  }
})

test('code that catches everything cannot outlive its crash', () => {
  const world = new World({ seed: 1 })
  const heard: unknown[] = []
  world.addNode('peer', (env) => env.network.bind((message) => heard.push(message)))
  const node = world.addNode('n', (env) => {
    const quietly = (body: () => void) => {
      try {
        body()
      } catch {
        heard.push('caught')
      }
    }
    env.clock.setTimer(() => {
      quietly(() => env.disk.append('log.append', 'log', bytes(1)))
      quietly(() => env.disk.append('log.append', 'log', bytes(2)))
      quietly(() => env.network.send('peer', 'from the dead'))
      quietly(() => void env.clock.setTimer(() => heard.push('ghost'), 5))
      throw new Error('words of its own')
    }, 10)
    env.clock.setTimer(() => heard.push('timer of the dead'), 11)
  })
  node.disk.crashAt({ operation: 'log.append', nth: 1, when: 'before', kind: 'process' })
  world.run({ forMs: 1_000 })
  assert.deepEqual(heard, ['caught', 'caught', 'caught', 'caught'])
  assert.equal(node.disk.image.size('log'), undefined)
  assert.throws(() => node.app, { code: 'sim.node_down' })
})

test('a killed process keeps its page cache, a machine without power does not', () => {
  const sizeAfter = (kind: 'process' | 'power', seed: number) => {
    const world = new World({ seed })
    const node = world.addNode('n', (env) => env)
    node.app.disk.append('log.append', 'log', bytes(1))
    node.crash(kind)
    node.start()
    return node.app.disk.size('log.open', 'log')
  }
  const seeds = Array.from({ length: 20 }, (_, at) => at)
  assert.deepEqual(new Set(seeds.map((seed) => sizeAfter('process', seed))), new Set([1]))
  assert.ok(seeds.some((seed) => sizeAfter('power', seed) === undefined))
})

test('an injected failure strikes exactly the named operation, and a full disk takes no more', () => {
  const world = new World({ seed: 1 })
  const node = world.addNode('n', (env) => env)
  const { disk } = node.app
  node.disk.failNext({ operation: 'wal.append', code: 'EIO', after: 1, times: 1 })
  disk.append('db.append', 'db', bytes(1))
  disk.append('wal.append', 'wal', bytes(1))
  assert.throws(() => disk.append('wal.append', 'wal', bytes(2)), {
    code: 'EIO',
    operation: 'wal.append',
  })
  disk.append('wal.append', 'wal', bytes(3))
  assert.deepEqual([...disk.read('wal.read', 'wal')], [1, 3])
  node.disk.capacityBytes = 4
  disk.append('wal.append', 'wal', bytes(4))
  assert.throws(() => disk.append('wal.append', 'wal', bytes(5)), { code: 'ENOSPC' })
  assert.throws(() => disk.read('wal.read', 'nothing'), { code: 'ENOENT' })
})

test('a process that exits comes back when it has a supervisor', () => {
  const world = new World({ seed: 1 })
  let boots = 0
  const node = world.addNode(
    'n',
    (env) => {
      boots += 1
      env.clock.setTimer(() => env.exit('done'), 100)
    },
    { restartAfterMs: 50 },
  )
  world.run({ forMs: 120 })
  assert.equal(node.isUp, false)
  world.run({ forMs: 40 })
  assert.deepEqual([node.isUp, boots], [true, 2])
})

test('a paused node does nothing, and then everything that waited, in order', () => {
  const world = new World({ seed: 1, network: { link: { jitterMs: 0 } } })
  const heard: unknown[] = []
  const node = world.addNode('n', (env) => {
    env.network.bind((message) => heard.push(message))
    env.clock.setTimer(() => heard.push('timer'), 20)
  })
  const peer = world.addNode('peer', (env) => env)
  node.pause(500)
  for (const number of [1, 2, 3]) {
    peer.app.network.send('n', number)
    world.run({ forMs: 3 })
  }
  world.run({ forMs: 480 })
  assert.deepEqual(heard, [])
  world.run({ forMs: 50 })
  assert.deepEqual(heard.toSorted(), [1, 2, 3, 'timer'])
})

test('skew and drift: wall clocks differ, durations stretch, and a reboot starts a new monotonic time', () => {
  const world = new World({ seed: 1 })
  const exact = world.addNode('exact', ({ clock }) => clock)
  const fast = world.addNode('fast', ({ clock }) => clock, { skewMs: 5_000, driftRatio: 0.01 })
  const startMs = fast.app.monotonicMs()
  let firedAtMs = 0
  fast.app.setTimer(() => {
    firedAtMs = world.nowMs
    assert.ok(fast.app.monotonicMs() - startMs >= 1_010, 'a timer fired early by its own clock')
  }, 1_010)
  world.run({ forMs: 100_000 })
  assert.equal(firedAtMs.toFixed(6), '1000.000000')
  assert.equal(fast.app.nowMs() - exact.app.nowMs(), 6_000)
  fast.crash()
  fast.start()
  assert.notEqual(Math.round(fast.app.monotonicMs() - startMs), 101_000)
  world.heal()
  assert.equal(fast.app.nowMs(), exact.app.nowMs())
})

test('a disposed timer does not fire, nor do those that other nodes set stop with it', () => {
  const world = new World({ seed: 1 })
  const fired: string[] = []
  const node = world.addNode('n', ({ clock }) => clock)
  const timer = node.app.setTimer(() => fired.push('first'), 10)
  node.app.setTimer(() => fired.push('second'), 10)
  timer[Symbol.dispose]()
  timer[Symbol.dispose]()
  world.runUntilQuiet({ withinMs: 100 })
  timer[Symbol.dispose]()
  assert.deepEqual(fired, ['second'])
  assert.equal(new CrashSignal('n') instanceof Error, true)
})
