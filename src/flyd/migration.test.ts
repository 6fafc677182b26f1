import assert from 'node:assert/strict'
import test from 'node:test'
import { anySignal, createInput, HostWorld, reserve } from './fixture/host-world.ts'
import { exitWith } from './fixture/simulated-hardware.ts'
import { MACHINE } from './fixture/stories.ts'
import type { HostCreate } from './host.ts'
import type { LocalHost } from './local-host.ts'
import type { MachineDescription } from './model/machine-description.ts'

const nonce = { nonce: undefined }
const stopOptions = { ...nonce, signal: undefined, timeoutMs: undefined }
const nothing = { guests: [], roots: [], attachments: [], networks: [], addresses: [], volumes: [] }

const ask = (world: HostWorld, act: (host: LocalHost) => Promise<unknown>) =>
  world.request(act, () => true)
const seen = (world: HostWorld) => world.host.view.machine(MACHINE)

async function newHost(addressPrefix: string): Promise<HostWorld> {
  const world = new HostWorld()
  world.hardware.addressPrefix = addressPrefix
  await world.up()
  return world
}

async function hostWith(input: Partial<HostCreate> = {}): Promise<HostWorld> {
  const world = await newHost('fdaa:0:1')
  if (world.book !== undefined) reserve(world.book, MACHINE, world.world.nowMs)
  await ask(world, (host) => host.create(createInput(MACHINE, input), anySignal))
  await world.settle()
  return world
}

async function leave(world: HostWorld): Promise<MachineDescription> {
  await ask(world, (host) => host.migration.leave(MACHINE))
  await world.settle()
  return JSON.parse(JSON.stringify(world.host.migration.describe(MACHINE)))
}

async function arrive(world: HostWorld, moved: MachineDescription, reservation = 'r-arrival') {
  world.book?.reserve(reservation, { needs: { guest } }, 1e9, world.world.nowMs)
  await ask(world, (host) => host.migration.arrive(moved, { reservation }))
  await world.settle()
}

const guest = { cpuKind: 'shared', cpus: 1, memoryMb: 256 } as const

async function move(from: HostWorld, to: HostWorld): Promise<void> {
  const moved = await leave(from)
  await arrive(to, moved, `r-${moved.version}`)
  await ask(to, (host) => host.migration.releaseIn(MACHINE))
  await ask(from, (host) => host.migration.releaseOut(MACHINE))
  await from.settle()
}

async function eventLines(world: HostWorld): Promise<string[]> {
  const events = (await world.host.events(MACHINE, 100, anySignal)) as Record<string, string>[]
  return events.map(({ type, status, source }) => `${type}/${status}/${source}`)
}

test('a machine that moves is the same machine, of a new version, with an address of its new host', async () => {
  const config = { image: 'nginx', metadata: { role: 'web' }, stop_config: { signal: 'SIGTERM' } }
  const old = await hostWith({ config, leaseTtlS: 3_600 })
  const before = seen(old)
  const versions = await old.host.versions(MACHINE, anySignal)
  const fresh = await newHost('fdaa:0:2')
  await move(old, fresh)
  const after = seen(fresh)
  assert.deepEqual(
    [after?.state, after?.name, after?.config, after?.lease?.nonce],
    ['started', before?.name, config, before?.lease?.nonce],
  )
  assert.ok(before !== undefined && after !== undefined && after.version > before.version)
  assert.match(after.privateIp ?? '', /^fdaa:0:2::/)
  assert.deepEqual((await fresh.host.versions(MACHINE, anySignal)).slice(1), versions)
  assert.deepEqual(await eventLines(fresh), ['start/started/flyd', 'launch/created/flyd'])
  assert.deepEqual(old.effects?.sent, ['stop SIGTERM 5000'])
  assert.equal(seen(old)?.state, 'migrated')
  assert.deepEqual((await eventLines(old)).slice(0, 4), [
    'migrate/migrated/flyd',
    'migrate/leaving/flyd',
    'exit/stopped/flyd',
    'stop/stopping/flyd',
  ])
  assert.deepEqual(old.hardware.inventory(), nothing)
  assert.equal(old.book?.holderCount, 0)
})

test('who waits is told: on the old host that it is gone, on the new one that its version is replaced', async () => {
  const old = await hostWith()
  const { version } = seen(old) ?? {}
  const fresh = await newHost('fdaa:0:2')
  await move(old, fresh)
  const options = { states: ['started'], version, fromEventId: undefined, timeoutMs: 1_000 }
  await ask(old, (host) =>
    assert.rejects(host.wait(MACHINE, { ...options, states: ['stopped'] }, anySignal), {
      code: 'flyd.not_found',
    }),
  )
  await ask(fresh, (host) =>
    assert.rejects(host.wait(MACHINE, options, anySignal), /currently replaced/),
  )
})

test('a machine that was stopped or suspended is stopped after the move, and starts cold', async () => {
  for (const isSuspended of [false, true]) {
    const old = await hostWith({ skipLaunch: !isSuspended })
    if (isSuspended) {
      await ask(old, (host) => host.suspend(MACHINE, nonce, anySignal))
      await old.settle()
    }
    const fresh = await newHost('fdaa:0:2')
    await move(old, fresh)
    assert.equal(seen(fresh)?.state, 'stopped')
    assert.equal(fresh.book?.holderCount, 0)
    await ask(fresh, (host) => host.start(MACHINE, nonce, anySignal))
    await fresh.settle()
    assert.equal(fresh.hardware.boots.get(MACHINE), 1)
  }
})

test('from the first call to the last nobody else changes a machine that moves', async () => {
  const old = await hostWith()
  const moved = await leave(old)
  const fresh = await newHost('fdaa:0:2')
  await arrive(fresh, moved)
  const lease = { ...nonce, ttlS: 60, owner: 'x', description: '' }
  for (const world of [old, fresh]) {
    const calls: ((host: LocalHost) => Promise<unknown>)[] = [
      (host) => host.start(MACHINE, nonce, anySignal),
      (host) => host.stop(MACHINE, stopOptions, anySignal),
      (host) => host.destroy(MACHINE, { ...nonce, force: true }, anySignal),
      (host) => host.setCordoned(MACHINE, { ...nonce, isCordoned: true }, anySignal),
      (host) => host.acquireLease(MACHINE, lease, anySignal),
      (host) => host.changeMetadata(MACHINE, { a: 'b' }, { version: undefined }, anySignal),
    ]
    const before = seen(world)
    for (const call of calls) {
      const refusal = { code: 'flyd.state_bad', message: /machine is being migrated/ }
      await ask(world, (host) => assert.rejects(call(host), refusal))
    }
    assert.equal(seen(world), before)
  }
  await ask(fresh, (host) => host.migration.releaseIn(MACHINE))
  await ask(fresh, (host) => host.stop(MACHINE, stopOptions, anySignal))
  await fresh.settle()
  assert.equal(seen(fresh)?.state, 'stopped')
})

test('a move that is given up leaves nothing on the new host, and the machine runs on the old one, whose room it kept', async () => {
  const old = await hostWith()
  const { version } = seen(old) ?? {}
  const moved = await leave(old)
  assert.deepEqual([seen(old)?.state, old.book?.used.memoryMb], ['stopped', 256])
  const fresh = await newHost('fdaa:0:2')
  await arrive(fresh, moved)
  await ask(fresh, (host) => host.migration.abortIn(MACHINE))
  await fresh.settle()
  assert.equal(seen(fresh)?.state, 'migrated')
  assert.deepEqual(fresh.hardware.inventory(), nothing)
  assert.equal(fresh.book?.holderCount, 0)
  await ask(old, (host) => host.migration.abortOut(MACHINE))
  await old.settle()
  assert.deepEqual([seen(old)?.state, seen(old)?.version], ['started', version])
  assert.equal(old.book?.used.memoryMb, 256)
})

test('given up at any moment of the stop or of the launch, it ends whole on both hosts', async () => {
  for (const afterMs of [0, 3, 6, 10, 15]) {
    const old = await hostWith()
    await ask(old, (host) => host.migration.leave(MACHINE))
    await old.world.runAsync({ forMs: afterMs })
    await ask(old, (host) => host.migration.abortOut(MACHINE))
    await old.settle()
    assert.deepEqual([seen(old)?.state, old.hardware.guests.size], ['started', 1])
    const moved = await leave(old)
    const fresh = await newHost('fdaa:0:2')
    fresh.book?.reserve('r-arrival', { needs: { guest } }, 1e9, 0)
    await ask(fresh, (host) => host.migration.arrive(moved, { reservation: 'r-arrival' }))
    await fresh.world.runAsync({ forMs: afterMs })
    await ask(fresh, (host) => host.migration.abortIn(MACHINE))
    await fresh.settle()
    assert.equal(seen(fresh)?.state, 'migrated')
    assert.deepEqual(fresh.hardware.inventory(), nothing)
  }
})

test('an arrival that fails clears itself away, says why, and can be tried again', async () => {
  const old = await hostWith()
  const moved = await leave(old)
  const fresh = await newHost('fdaa:0:2')
  await arrive(fresh, { ...moved, config: { image: 'missing' } })
  assert.equal(seen(fresh)?.state, 'migrated')
  const [, failure] = (await fresh.host.events(MACHINE, 2, anySignal)) as { request?: unknown }[]
  assert.match(JSON.stringify(failure?.request), /no such image/)
  await ask(fresh, (host) =>
    assert.rejects(host.migration.releaseIn(MACHINE), { code: 'flyd.not_found' }),
  )
  await arrive(fresh, moved, 'r-second')
  assert.equal(seen(fresh)?.state, 'started')
})

test('each call of a migration may be repeated', async () => {
  const old = await hostWith()
  await leave(old)
  const moved = await leave(old)
  const fresh = await newHost('fdaa:0:2')
  await arrive(fresh, moved)
  const { version } = seen(fresh) ?? {}
  await arrive(fresh, moved)
  assert.deepEqual([seen(fresh)?.version, fresh.hardware.boots.get(MACHINE)], [version, 1])
  for (let nth = 0; nth < 2; nth += 1) {
    await ask(fresh, (host) => host.migration.releaseIn(MACHINE))
    await ask(old, (host) => host.migration.releaseOut(MACHINE))
    await old.settle()
  }
  assert.deepEqual([seen(old)?.state, seen(fresh)?.state], ['migrated', 'started'])
  await ask(old, (host) =>
    assert.rejects(host.migration.abortOut(MACHINE), { code: 'flyd.not_found' }),
  )
  await ask(fresh, (host) =>
    assert.rejects(host.migration.abortIn(MACHINE), { code: 'flyd.state_bad' }),
  )
})

test('nothing is handed over or let go before it is held', async () => {
  const old = await hostWith()
  const refusal = { code: 'flyd.state_bad' }
  assert.throws(() => old.host.migration.describe(MACHINE), refusal)
  await ask(old, async (host) => {
    await host.migration.leave(MACHINE)
    assert.throws(() => host.migration.describe(MACHINE), refusal)
    await assert.rejects(host.migration.releaseOut(MACHINE), refusal)
  })
  await old.settle()
  const moved = old.host.migration.describe(MACHINE)
  const fresh = await newHost('fdaa:0:2')
  fresh.book?.reserve('r-arrival', { needs: { guest } }, 1e9, 0)
  await ask(fresh, async (host) => {
    await host.migration.arrive(moved, { reservation: 'r-arrival' })
    await assert.rejects(host.migration.releaseIn(MACHINE), refusal)
  })
})

test('a machine comes back to a host that it left, and is forgotten by the one that it left then', async () => {
  const first = await hostWith()
  const second = await newHost('fdaa:0:2')
  await move(first, second)
  await move(second, first)
  assert.equal(seen(first)?.state, 'started')
  assert.equal(seen(second)?.state, 'migrated')
  assert.equal(second.host.view.countOfApp('app1'), 0)
  first.hardware.end(MACHINE, exitWith(1, first.world.nowMs))
  await first.settle()
  assert.equal(seen(first)?.state, 'started')
  await second.world.runAsync({ forMs: 25 * 3_600_000 })
  assert.equal(seen(second), undefined)
})
