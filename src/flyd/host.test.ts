import assert from 'node:assert/strict'
import test from 'node:test'
import { anySignal, createInput, HostWorld, reserve } from './fixture/host-world.ts'
import { exitWith } from './fixture/simulated-hardware.ts'
import { MACHINE, newVolume, VOLUME } from './fixture/stories.ts'
import type { HostCreate, HostCreateVolume } from './host.ts'
import type { LocalHost } from './local-host.ts'

const nonce = { nonce: undefined }
const HOUR_MS = 3_600_000

interface EventLine {
  readonly type: string
  readonly status: string
  readonly source: string
  readonly request?: { exit_event: Record<string, unknown>; restart_count: number }
}

/** A host with one machine, whatever it was asked to be. */
async function worldWith(input: Partial<HostCreate> = {}): Promise<HostWorld> {
  const world = new HostWorld()
  if (world.book !== undefined) reserve(world.book, MACHINE, world.world.nowMs)
  await ask(world, (host) => host.create(createInput(MACHINE, input), anySignal))
  await world.settle()
  return world
}

const ask = (world: HostWorld, act: (host: LocalHost) => Promise<unknown>) =>
  world.request(act, () => true)
const seen = (world: HostWorld) => world.host.view.machine(MACHINE)
const events = async (world: HostWorld) =>
  (await world.host.events(MACHINE, 100, anySignal)) as EventLine[]
const update = (
  host: LocalHost,
  image: string,
  { skipLaunch = false, guest }: { skipLaunch?: boolean; guest?: unknown } = {},
) =>
  host.update(
    MACHINE,
    {
      ...nonce,
      config: { image, ...(guest === undefined ? {} : { guest }) },
      currentVersion: undefined,
      skipLaunch,
      skipSecrets: false,
      minSecretsVersion: 0,
      leaseTtlS: 0,
      owner: 'someone',
    },
    anySignal,
  )

async function crash(world: HostWorld, exitCode: number): Promise<void> {
  world.hardware.end(MACHINE, exitWith(exitCode, world.world.nowMs))
  await world.settle()
}

test('an exit event has what clients read, in both places, newest first', async () => {
  const world = await worldWith()
  await crash(world, 3)
  const [started, restarting, exit] = await events(world)
  assert.deepEqual(
    [started, restarting, exit].map((one) => `${one?.type}/${one?.status}/${one?.source}`),
    ['start/started/flyd', 'restart/starting/flyd', 'exit/stopped/flyd'],
  )
  const { exit_event: exitEvent, restart_count: count } = exit?.request ?? {}
  assert.equal(count, 1)
  assert.deepEqual(
    [exitEvent?.['exit_code'], exitEvent?.['requested_stop'], exitEvent?.['restarting']],
    [3, false, true],
  )
  assert.match(String(exitEvent?.['exited_at']), /^\d{4}-\d\d-\d\dT.*\.\d{3}Z$/)
})

test('a machine that fails again and again is left stopped, and a start by hand counts anew', async () => {
  const world = await worldWith({ config: { image: 'nginx', restart: { max_retries: 2 } } })
  for (const state of ['started', 'started', 'stopped']) {
    await crash(world, 1)
    assert.equal(seen(world)?.state, state)
  }
  assert.deepEqual(world.hardware.inventory().guests, [])
  await ask(world, (host) => host.start(MACHINE, nonce, anySignal))
  await world.settle()
  await crash(world, 1)
  assert.equal(seen(world)?.state, 'started')
})

test('auto_destroy ends a machine with its process, unless the policy starts it again', async () => {
  const once = { image: 'nginx', auto_destroy: true, restart: { policy: 'no' } }
  for (const code of [0, 1]) {
    const world = await worldWith({ config: once })
    await crash(world, code)
    assert.equal(seen(world)?.state, 'destroyed')
    assert.deepEqual(world.hardware.inventory().roots, [])
  }
  const world = await worldWith({ config: { ...once, restart: { policy: 'always' } } })
  await crash(world, 0)
  assert.equal(seen(world)?.state, 'started')
})

test('an image that cannot be had leaves the old version running, and a wait for the new one is told', async () => {
  const world = await worldWith()
  const old = seen(world)?.version
  let version = ''
  await ask(world, async (host) => {
    version = (await update(host, 'missing')).version
  })
  assert.notEqual(version, old)
  await world.settle()
  assert.deepEqual([seen(world)?.state, seen(world)?.version], ['started', old])
  assert.equal(world.hardware.boots.get(MACHINE), 1, 'the guest was not touched')
  const options = { states: ['started'], fromEventId: undefined, timeoutMs: 1_000 }
  await ask(world, (host) =>
    assert.rejects(host.wait(MACHINE, { ...options, version }, anySignal), /currently replaced/),
  )
})

test('an update that interrupts a start, of an image that cannot be had, lets the old version start', async () => {
  const world = await worldWith()
  const old = seen(world)?.version
  world.hardware.end(MACHINE, exitWith(1, world.world.nowMs))
  await world.world.runAsync({ forMs: 100 })
  assert.equal(seen(world)?.state, 'starting')
  await ask(world, (host) => update(host, 'missing'))
  await world.settle()
  assert.deepEqual([seen(world)?.state, seen(world)?.version], ['started', old])
  assert.deepEqual(
    world.hardware.inventory().guests.map(({ state }) => state),
    ['running'],
  )
})

/** Megabytes that are held, at each change of the machine, repetitions left out. */
function recordMemory(world: HostWorld): number[] {
  const held: number[] = []
  world.host.view.onChange(() => {
    const memoryMb = world.book?.used.memoryMb ?? Number.NaN
    if (memoryMb !== held.at(-1)) held.push(memoryMb)
  })
  return held
}

const small = { cpu_kind: 'shared', cpus: 1, memory_mb: 256 }
const large = { cpu_kind: 'shared', cpus: 2, memory_mb: 1024 }

test('until an update is over a machine holds the larger of its old and its new size', async () => {
  for (const [before, after] of [
    [small, large],
    [large, small],
  ]) {
    for (const skipLaunch of [false, true]) {
      const world = await worldWith({ config: { image: 'nginx', guest: before } })
      const held = recordMemory(world)
      await ask(world, (host) => update(host, 'nginx:2', { skipLaunch, guest: after }))
      await world.settle()
      const end = skipLaunch ? 0 : Number(after?.memory_mb)
      assert.deepEqual(held, end === 1024 ? [1024] : [1024, end])
    }
  }
})

test('an update that is taken back leaves the room as it was, after a death of flyd too', async () => {
  const world = await worldWith({ config: { image: 'nginx', guest: small } })
  const held = recordMemory(world)
  await ask(world, (host) => update(host, 'missing', { guest: large }))
  world.node.crash('process')
  await world.settle()
  assert.deepEqual([held, world.book?.used.memoryMb], [[1024], 256])
})

test('a stop during an update ends stopped and of the new version, which was never booted', async () => {
  for (const afterMs of [0, 2, 4, 8, 12]) {
    const world = await worldWith({ config: { image: 'nginx', guest: large } })
    const stop = { ...nonce, signal: undefined, timeoutMs: undefined }
    let version = ''
    await ask(world, async (host) => {
      version = (await update(host, 'nginx:2', { guest: small })).version
    })
    await world.world.runAsync({ forMs: afterMs })
    assert.equal(seen(world)?.state, 'replacing')
    await ask(world, (host) => host.stop(MACHINE, stop, anySignal))
    await world.settle()
    assert.deepEqual([seen(world)?.state, seen(world)?.version], ['stopped', version])
    assert.equal(world.hardware.boots.get(MACHINE), 1)
    assert.deepEqual(world.hardware.inventory().roots, [])
    assert.equal(world.book?.holderCount, 0)
    await ask(world, (host) => host.start(MACHINE, nonce, anySignal))
    await world.settle()
    assert.deepEqual([seen(world)?.state, world.book?.used.memoryMb], ['started', 256])
  }
})

test('versions are newest first, as they were sent, and metadata makes none', async () => {
  const world = await worldWith()
  await ask(world, (host) => update(host, 'nginx:2'))
  await world.settle()
  const { version } = seen(world) ?? {}
  await ask(world, (host) =>
    host.changeMetadata(MACHINE, { role: 'db', gone: null }, { version }, anySignal),
  )
  const versions = await world.host.versions(MACHINE, anySignal)
  assert.deepEqual(
    versions.map((one) => one.user_config),
    [{ image: 'nginx:2' }, { image: 'nginx' }],
  )
  assert.equal(seen(world)?.version, version)
  assert.deepEqual(seen(world)?.config.metadata, { role: 'db' })
  await ask(world, (host) =>
    assert.rejects(host.changeMetadata(MACHINE, { role: 'x' }, { version: 'other' }, anySignal), {
      code: 'flyd.state_bad',
    }),
  )
})

test('a lease outlives flyd, and ends with its time', async () => {
  const world = await worldWith({ leaseTtlS: 600 })
  world.node.crash()
  await world.up()
  const start = (host: LocalHost) =>
    host.stop(MACHINE, { ...nonce, signal: undefined, timeoutMs: undefined }, anySignal)
  await ask(world, (host) =>
    assert.rejects(start(host), /lease currently held by someone, expires at/),
  )
  await world.world.runAsync({ forMs: 601_000 })
  await ask(world, start)
  await world.settle()
  assert.equal(seen(world)?.state, 'stopped')
})

test('a schedule starts what is stopped once a period, not twice, and not what was never launched', async () => {
  const world = await worldWith({ config: { image: 'nginx', schedule: 'hourly' } })
  await crash(world, 0)
  assert.equal(seen(world)?.state, 'stopped')
  for (const boots of [2, 3]) {
    await world.world.runAsync({ forMs: HOUR_MS })
    assert.equal(world.hardware.boots.get(MACHINE), boots)
    await crash(world, 0)
    world.node.crash()
    await world.settle()
  }
  const still = await worldWith({ skipLaunch: true, config: { image: 'n', schedule: 'hourly' } })
  await still.world.runAsync({ forMs: 3 * HOUR_MS })
  assert.equal(still.hardware.boots.get(MACHINE), undefined)
})

for (const skipLaunch of [false, true]) {
  const how = skipLaunch ? 'that is not to run yet' : 'that is to run'
  test(`a machine ${how} and cannot be launched is launch_failed, then destroyed, and says why`, async () => {
    const world = new HostWorld()
    await world.up()
    const states: string[] = []
    using _ = world.host.view.onChange(() => {
      const state = seen(world)?.state ?? ''
      if (state !== states.at(-1)) states.push(state)
    })
    if (world.book !== undefined) reserve(world.book, MACHINE, world.world.nowMs)
    const input = createInput(MACHINE, { skipLaunch, config: { image: 'missing' } })
    await ask(world, (host) => host.create(input, anySignal))
    await world.settle()
    assert.deepEqual(states, ['created', 'launch_failed', 'destroyed'])
    const told = await events(world)
    assert.deepEqual(
      told.map((one) => `${one.type}/${one.status}/${one.source}`),
      [
        'destroy/destroyed/flyd',
        'launch/launch_failed/flyd',
        'launch/created/user',
        'launch/pending/flyd',
      ],
    )
    assert.match(JSON.stringify(told[1]?.request), /no such image/)
    assert.equal(world.book?.holderCount, 0)
    const options = { states: ['started'], version: undefined, fromEventId: undefined }
    await ask(world, (host) =>
      assert.rejects(host.wait(MACHINE, { ...options, timeoutMs: 1_000 }, anySignal), {
        message: /machine not found/,
      }),
    )
  })
}

test('no call keeps a machine that could not be launched from being cleared away', async () => {
  const world = new HostWorld()
  if (world.book !== undefined) reserve(world.book, MACHINE, world.world.nowMs)
  const stopOptions = { ...nonce, signal: undefined, timeoutMs: undefined }
  world.onAct = async (act) => {
    if (act === 'removeGuest') throw new Error('busy')
  }
  const config = { image: 'missing' }
  await ask(world, (host) => host.create(createInput(MACHINE, { config }), anySignal))
  const isFailed = () => seen(world)?.state === 'launch_failed'
  await world.world.eventuallyAsync('launch_failed', isFailed, { withinMs: HOUR_MS })
  await ask(world, async (host) => {
    await host.stop(MACHINE, stopOptions, anySignal)
    await host.destroy(MACHINE, { ...nonce, force: false }, anySignal)
    await assert.rejects(host.start(MACHINE, nonce, anySignal), { code: 'flyd.state_bad' })
    await assert.rejects(update(host, 'nginx'), { code: 'flyd.not_found' })
  })
  assert.equal(seen(world)?.state, 'launch_failed')
  world.onAct = async () => undefined
  await world.settle()
  assert.equal(seen(world)?.state, 'destroyed')
})

test('a standby starts when the host of what it watches is gone, and stops when that is back', async () => {
  const world = await worldWith({ skipLaunch: true, config: { image: 'n', standbys: ['other'] } })
  await ask(world, (host) => host.watchedChanged({ stateOf: () => 'gone' }))
  await world.settle()
  assert.equal(seen(world)?.state, 'started')
  await ask(world, (host) => host.watchedChanged({ stateOf: () => 'here' }))
  await world.settle()
  assert.equal(seen(world)?.state, 'stopped')
})

test('a start for which there is no room is refused with the words that clients look for', async () => {
  const world = await worldWith({ skipLaunch: true })
  const needs = { guest: { cpuKind: 'shared', cpus: 1, memoryMb: 65_536 } } as const
  world.book?.hold('other', { needs })
  await ask(world, (host) =>
    assert.rejects(
      host.start(MACHINE, nonce, anySignal),
      /^FlydError: aborted: could not reserve resource for machine: insufficient memory available/,
    ),
  )
  assert.equal(seen(world)?.state, 'stopped')
})

test('a reservation is spent by one machine, and one that ended makes none', async () => {
  const world = await worldWith()
  const other = createInput('148ed599c14190', { reservation: `r-${MACHINE}` })
  await ask(world, (host) =>
    assert.rejects(host.create(other, anySignal), { code: 'flyd.conflict' }),
  )
  assert.equal(world.book?.holderCount, 1)
})

test('a destroyed machine answers for a day, with its events, and is then forgotten', async () => {
  const world = await worldWith()
  await ask(world, (host) => host.destroy(MACHINE, { ...nonce, force: true }, anySignal))
  await world.settle()
  assert.equal(seen(world)?.state, 'destroyed')
  assert.equal((await events(world))[0]?.status, 'destroyed')
  await world.world.runAsync({ forMs: 25 * HOUR_MS })
  assert.equal(seen(world), undefined)
  assert.deepEqual([...world.host.ledger.store.entries(`event/${MACHINE}`)], [])
})

test('what ended while flyd was away is noticed, and guests that run are taken over', async () => {
  const world = await worldWith()
  world.node.crash('process')
  await world.settle()
  assert.equal(world.hardware.boots.get(MACHINE), 1)
  world.node.crash('process')
  world.hardware.end(MACHINE, exitWith(7, world.world.nowMs))
  await world.settle()
  assert.equal(world.hardware.boots.get(MACHINE), 2)
  const exit = (await events(world)).find(({ type }) => type === 'exit')
  assert.equal(exit?.request?.exit_event['exit_code'], 7)
})

test('the log of a run that fails for a long time stays short', async () => {
  const world = await worldWith()
  world.onAct = async (act) => {
    if (act === 'removeNetwork') throw new Error('busy')
  }
  await ask(world, (host) => host.destroy(MACHINE, { ...nonce, force: true }, anySignal))
  await world.world.runAsync({ forMs: 24 * HOUR_MS })
  const stored = [...world.host.ledger.store.entries('run/')].length
  assert.ok(stored > 0 && stored <= 256, `${stored} entries`)
  assert.equal(world.host.engine.runs()[0]?.error, 'busy')
  world.node.crash()
  await world.up()
  world.onAct = async () => undefined
  await world.settle()
  assert.equal(seen(world)?.state, 'destroyed')
})

test('a snapshot is shown as it is, and stays the days that its volume had when it was taken', async () => {
  const world = new HostWorld()
  const { volumes } = await volumeIn(world)
  await ask(world, () => volumes.createSnapshot(VOLUME, anySignal))
  const settings = { snapshotRetention: 1, autoBackupEnabled: undefined }
  await ask(world, () => volumes.update(VOLUME, settings, anySignal))
  await world.settle()
  const [shown] = (await volumes.snapshots(VOLUME, anySignal)) as Record<string, unknown>[]
  assert.match(String(shown?.['id']), /^vs_[a-z0-9]+$/)
  assert.equal(shown?.['status'], 'created')
  assert.equal(shown?.['volume_size'], 2 ** 30)
  assert.equal(shown?.['size'], 4096)
  assert.equal(shown?.['retention_days'], 5)
  const takenAtMs = Date.parse(String(shown?.['created_at']))
  const madeAtMs = world.host.view.volume(VOLUME)?.createdAtMs ?? 0
  assert.ok(takenAtMs > 0 && takenAtMs - madeAtMs < HOUR_MS, 'after the volume, at once')
  await world.world.runAsync({ forMs: 4 * 24 * HOUR_MS })
  assert.equal((await volumes.snapshots(VOLUME, anySignal)).length, 1)
  await world.world.runAsync({ forMs: 25 * HOUR_MS })
  assert.equal((await volumes.snapshots(VOLUME, anySignal)).length, 0)
  assert.equal(world.hardware.snapshots.size, 0)
})

test('a volume that wants a zone of its own keeps it, after it has grown and after a restart', async () => {
  const world = new HostWorld()
  const exclusive = 'app1/data'
  const { volumes } = await volumeIn(world, exclusive)
  const other = { needs: { volumeBytes: 1 }, exclusive }
  const refused = () => world.book?.refusalOf(other, 'place')?.reason
  assert.equal(refused(), 'exclusive')
  await ask(world, () => volumes.extend(VOLUME, 2, anySignal))
  assert.equal(refused(), 'exclusive')
  world.node.crash('process')
  await world.up()
  assert.equal(refused(), 'exclusive')
})

async function volumeIn(world: HostWorld, exclusive?: string): Promise<LocalHost> {
  await world.up()
  const needs = { volumeBytes: 2 ** 30 }
  world.book?.reserve(`r-${VOLUME}`, { needs, exclusive }, 1e9, world.world.nowMs)
  await ask(world, (host) => host.volumes.create(newVolume, anySignal))
  return world.host
}

test('a volume is made of a snapshot or a volume of its own app, and of nothing else', async () => {
  const world = new HostWorld()
  const { volumes } = await volumeIn(world)
  await ask(world, () => volumes.createSnapshot(VOLUME, anySignal))
  await world.settle()
  const snapshotId = volumes.snapshotsOf(VOLUME)[0]?.id
  let count = 0
  const make = (changes: Partial<HostCreateVolume>) => {
    count += 1
    const id = `vol_000000000000000${count}`
    const needs = { volumeBytes: 2 ** 30 }
    world.book?.reserve(`r-${id}`, { needs }, 1e9, world.world.nowMs)
    const input = { ...newVolume, id, reservation: `r-${id}`, ...changes }
    return ask(world, () => volumes.create(input, anySignal))
  }
  await make({ snapshotId })
  await make({ sourceVolumeId: VOLUME })
  const missing = { code: 'flyd.not_found' }
  await assert.rejects(make({ snapshotId, appId: 'app2' }), missing)
  await assert.rejects(make({ sourceVolumeId: VOLUME, appId: 'app2' }), missing)
  await assert.rejects(make({ snapshotId: VOLUME }), missing)
  await assert.rejects(make({ snapshotId: `root-${MACHINE}` }), missing)
})
