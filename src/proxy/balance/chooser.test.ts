import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import type { PortRoute } from '../routing-table/app-tree.ts'
import { type MachineOptions, TableFixture } from '../routing-table/table.fixture.ts'
import { Chooser, STARTING_MS } from './chooser.ts'
import { explain } from './explain.ts'
import { NO_WISH, type Wish, wishOf } from './wish.ts'

/** Two hosts near, one 8 ms and one 240 ms away; loads by machine id. */
class Choices {
  readonly rows = new TableFixture()
    .host('h2', 'ams', 400)
    .host('h3', 'fra', 8_000)
    .host('h4', 'nrt', 240_000)
    .app('a')
    .ip('192.0.2.1', 'a')
  readonly chooser = new Chooser(this.rows.table.topology, seededRandom(1))
  nowMs = this.rows.nowMs

  machine(id: string, host: string, load: number, more: MachineOptions = {}): this {
    this.rows.machine(id, 'a', host, { service: { soft_limit: 20, hard_limit: 25 }, ...more })
    for (let at = 0; at < load; at += 1) this.service(id).take()
    return this
  }

  service(id: string) {
    const service = this.route.byMachine.get(id)
    assert(service)
    return service
  }

  get route(): PortRoute {
    const route = this.rows.table.lookup('192.0.2.1', 80, 'tcp')
    assert(typeof route !== 'string')
    return route
  }

  /** Machine ids, or reasons, of many choices; and what they wake. */
  chosen(wish: Wish = NO_WISH): { ids: string[]; wakes: string[] } {
    const ids = new Set<string>()
    const wakes = new Set<string>()
    for (let at = 0; at < 50; at += 1) {
      const choice = this.chooser.choose(this.route, wish, this.nowMs)
      ids.add(typeof choice === 'string' ? choice : choice.machine.id)
      if (this.chooser.wake !== undefined) wakes.add(this.chooser.wake.machine.id)
    }
    return { ids: [...ids].toSorted(), wakes: [...wakes] }
  }
}

const header = (headers: Record<string, string>) => wishOf({ header: (name) => headers[name] })

test('below soft: the nearest region serves, and equally near machines share', () => {
  const all = new Choices().machine('m1', 'h1', 0).machine('m2', 'h2', 0).machine('m3', 'h3', 0)
  assert.deepEqual(all.chosen(), { ids: ['m1', 'm2'], wakes: [] })
})

test('of two equally near machines the one with more room is taken', () => {
  const all = new Choices().machine('m1', 'h1', 10).machine('m2', 'h2', 3)
  assert.deepEqual(all.chosen().ids, ['m2'])
})

test('one over soft is passed over while another is below', () => {
  const all = new Choices().machine('m1', 'h1', 22).machine('m2', 'h2', 19)
  assert.deepEqual(all.chosen().ids, ['m2'])
})

test('soft limits alone push nothing to another region; a stopped machine is started beside', () => {
  const all = new Choices().machine('m1', 'h1', 20).machine('m3', 'h3', 0)
  assert.deepEqual(all.chosen(), { ids: ['m1'], wakes: [] })
  all.machine('m2', 'h2', 0, { state: 'stopped' })
  assert.deepEqual(all.chosen(), { ids: ['m1'], wakes: ['m2'] })
})

test('all of the region at hard: the next region serves, and back when a place is free', () => {
  const all = new Choices().machine('m1', 'h1', 25).machine('m3', 'h3', 0).machine('m4', 'h4', 0)
  assert.deepEqual(all.chosen().ids, ['m3'])
  all.service('m1').release()
  assert.deepEqual(all.chosen().ids, ['m1'])
})

test('all of the region unhealthy: the next region serves', () => {
  const all = new Choices().machine('m1', 'h1', 0).machine('m3', 'h3', 0)
  all.rows.check('m1', 'critical')
  assert.deepEqual(all.chosen().ids, ['m3'])
})

test('everywhere at hard: the request waits', () => {
  const all = new Choices().machine('m1', 'h1', 25).machine('m3', 'h3', 25)
  assert.deepEqual(all.chosen(), { ids: ['full'], wakes: [] })
})

test('from zero the nearest startable machine is started, the same by every proxy', () => {
  const stopped = { state: 'stopped' }
  const all = new Choices().machine('m3', 'h3', 0, stopped)
  all.machine('m2', 'h2', 0, stopped).machine('m1', 'h1', 0, { state: 'suspended' })
  assert.deepEqual(all.chosen(), { ids: ['asleep'], wakes: ['m1'] })
  all.service('m1').machine.isWaking = true
  assert.deepEqual(all.chosen(), { ids: ['asleep'], wakes: [] }, 'no second one for the same need')
})

test('autostart off: a stopped machine stays stopped and the request is refused', () => {
  const service = { autostart: 0 }
  const all = new Choices().machine('m1', 'h1', 0, { state: 'stopped', service })
  assert.deepEqual(all.chosen(), { ids: ['nobody'], wakes: [] })
})

test('a machine running elsewhere below soft serves before a near one is started', () => {
  const all = new Choices().machine('m1', 'h1', 0, { state: 'stopped' }).machine('m4', 'h4', 0)
  assert.deepEqual(all.chosen(), { ids: ['m4'], wakes: [] })
  for (let at = 0; at < 20; at += 1) all.service('m4').take()
  assert.deepEqual(all.chosen(), { ids: ['m4'], wakes: ['m1'] })
})

test('a young machine that fails its checks is waited for, an old one is unhealthy', () => {
  const all = new Choices().machine('m1', 'h1', 0, { state: 'stopped' })
  all.rows.check('m1', 'critical').change('m1', { state: 'started' })
  assert.deepEqual(all.chosen().ids, ['asleep'])
  all.nowMs += 20_001
  assert.deepEqual(all.chosen().ids, ['unhealthy'])
})

test('a machine that stops or is replaced is waited for where nobody else is, and not for long', () => {
  const all = new Choices().machine('m1', 'h1', 0)
  const named = header({ 'fly-force-instance-id': 'm1' })
  for (const state of ['stopping', 'replacing']) {
    all.rows.change('m1', { state })
    assert.deepEqual(all.chosen(), { ids: ['asleep'], wakes: [] })
    assert.deepEqual(all.chosen(named), { ids: ['asleep'], wakes: [] })
  }
  all.machine('m2', 'h2', 0)
  assert.deepEqual(all.chosen(), { ids: ['m2'], wakes: [] })
  all.rows.change('m2', { state: 'destroying' })
  all.nowMs += STARTING_MS
  assert.deepEqual(all.chosen().ids, ['nobody'])
  all.rows.change('m1', { state: 'stopped' })
  assert.deepEqual(all.chosen(), { ids: ['asleep'], wakes: ['m1'] })
})

test('autostart off: a machine that stops is not waited for', () => {
  const service = { autostart: 0 }
  const all = new Choices().machine('m1', 'h1', 0, { state: 'stopping', service })
  assert.deepEqual(all.chosen().ids, ['nobody'])
})

test('prefer-region tries the listed regions in order, then the nearest', () => {
  const all = new Choices().machine('m1', 'h1', 0).machine('m3', 'h3', 0).machine('m4', 'h4', 0)
  assert.deepEqual(all.chosen(header({ 'fly-prefer-region': 'syd,nrt' })).ids, ['m4'])
  assert.deepEqual(all.chosen(header({ 'fly-prefer-region': 'syd' })).ids, ['m1'])
  assert.deepEqual(all.chosen(header({ 'fly-prefer-region': 'apac' })).ids, ['m4'])
  all.rows.change('m4', { is_cordoned: 1 })
  assert.deepEqual(all.chosen(header({ 'fly-prefer-region': 'nrt' })).ids, ['m1'])
  assert.deepEqual(all.chosen(header({ 'fly-force-region': 'nrt' })).ids, ['nobody'])
})

test('a forced machine or none; a preferred one or any', () => {
  const all = new Choices().machine('m1', 'h1', 0).machine('m4', 'h4', 0)
  assert.deepEqual(all.chosen(header({ 'fly-force-instance-id': 'm4' })).ids, ['m4'])
  assert.deepEqual(all.chosen(header({ 'fly-force-instance-id': 'gone' })).ids, ['nobody'])
  assert.deepEqual(all.chosen(header({ 'fly-prefer-instance-id': 'm4' })).ids, ['m4'])
  assert.deepEqual(all.chosen(header({ 'fly-prefer-instance-id': 'gone' })).ids, ['m1'])
})

test('a machine whose connections failed comes after all others, also farther ones, for a while', () => {
  const all = new Choices().machine('m1', 'h1', 0).machine('m3', 'h3', 0)
  all.service('m1').failed(all.nowMs)
  assert.deepEqual(all.chosen().ids, ['m3'])
  all.rows.change('m3', { state: 'stopped' })
  assert.deepEqual(all.chosen().ids, ['m1'], 'better one that failed than none')
  all.nowMs += 10_000
  assert.deepEqual(all.chosen().ids, ['m1'])
})

test('cordoned and excluded machines get nothing', () => {
  const all = new Choices().machine('m1', 'h1', 0, { is_cordoned: 1 }).machine('m2', 'h2', 0)
  assert.deepEqual(all.chosen().ids, ['m2'])
  assert.deepEqual(all.chosen({ ...NO_WISH, excluded: new Set(['m2']) }).ids, ['nobody'])
})

test('news of the load: what a worker said counts, with what this proxy has added since', () => {
  const all = new Choices().machine('m1', 'h1', 2)
  const service = all.service('m1')
  service.told(10)
  assert.equal(service.load, 10)
  service.take()
  assert.equal(service.load, 11)
  for (let at = 0; at < 3; at += 1) service.release()
  assert.equal(service.load, 8)
  service.told(0)
  assert.equal(service.load, 0)
})

test('the explanation names the machine that a request gets, with everyone else and their verdicts', () => {
  const all = new Choices().machine('m1', 'h1', 25).machine('m2', 'h2', 21).machine('m3', 'h3', 0)
  all.machine('m4', 'h4', 0, { state: 'stopped' }).machine('m5', 'h1', 0, { is_cordoned: 1 })
  const said = explain(all.route, NO_WISH, all.chooser, all.nowMs)
  assert.equal(said.chosen, 'm2')
  assert.match(said.why, /nearest region: all are over their soft limits/)
  const verdicts = said.regions.flatMap(({ machines }) =>
    machines.map(({ machine, verdict }) => `${machine} ${verdict}`),
  )
  assert.deepEqual(verdicts.toSorted(), [
    'm1 at_hard',
    'm2 over_soft',
    'm3 below_soft',
    'm4 startable',
    'm5 cordoned',
  ])
})
