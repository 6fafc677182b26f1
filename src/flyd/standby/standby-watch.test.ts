import assert from 'node:assert/strict'
import test from 'node:test'
import { createLog, seededRandom } from '#base'
import { anySignal, createInput, HostWorld, reserve } from '../fixture/host-world.ts'
import { MACHINE } from '../fixture/stories.ts'
import { type ClusterHost, GONE_MS, StandbyWatch, type WatchedRow } from './standby-watch.ts'

const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })
const WATCHED = '148ed599c14180'

/** A host with one standby that is stopped, and what it is told of four others. */
async function standbyWorld() {
  const world = new HostWorld()
  await world.up()
  if (world.book !== undefined) reserve(world.book, MACHINE, world.world.nowMs)
  const config = { image: 'nginx', standbys: [WATCHED] }
  const input = createInput(MACHINE, { config, skipLaunch: true })
  await world.request(
    (host) => host.create(input, anySignal),
    () => true,
  )
  await world.settle()
  const rows: WatchedRow[] = [{ id: WATCHED, hostId: 'h2', state: 'started' }]
  const away = new Set<string>()
  const hosts = () =>
    ['h1', 'h2', 'h3', 'h4'].map((id): ClusterHost => ({ id, isPresent: !away.has(id) }))
  const { clock } = world
  assert.ok(clock)
  world.world.after(0, () => {
    new StandbyWatch({
      hostId: 'h1',
      machines: () => world.host.view.machines(),
      rowsOf: async () => rows,
      hosts: async () => hosts(),
      changed: (watched) => world.host.watchedChanged(watched),
      clock,
      random: seededRandom(1),
      log,
    })
  })
  const state = async (forMs = 30_000) => {
    await world.world.runAsync({ forMs })
    return world.host.view.machine(MACHINE)?.state
  }
  return { rows, away, state }
}

test('a standby starts when the host of what it watches is gone for long enough, and stops when it is back', async () => {
  const { away, rows, state } = await standbyWorld()
  assert.equal(await state(), 'stopped')
  away.add('h2')
  assert.equal(await state(GONE_MS - 4_000), 'stopped')
  assert.equal(await state(), 'started')
  away.delete('h2')
  rows[0] = { id: WATCHED, hostId: 'h2', state: 'stopped' }
  assert.equal(await state(), 'started', 'what it watches does not run yet')
  rows[0] = { id: WATCHED, hostId: 'h2', state: 'started' }
  assert.equal(await state(), 'stopped')
})

test('a host that sees less than half of all hosts starts no standby', async () => {
  const { away, state } = await standbyWorld()
  for (const id of ['h2', 'h3', 'h4']) away.add(id)
  assert.equal(await state(), 'stopped')
  away.delete('h4')
  assert.equal(await state(), 'started')
})

test('a machine that crashed or was stopped, on a host that is there, starts no standby', async () => {
  const { rows, state } = await standbyWorld()
  rows[0] = { id: WATCHED, hostId: 'h2', state: 'stopped' }
  assert.equal(await state(), 'stopped')
  rows.length = 0
  assert.equal(await state(), 'stopped')
})
