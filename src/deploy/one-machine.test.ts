import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { LeapingClock } from './leaping-clock.fixture.ts'
import { type OneUpdate, updateOne, watchOne } from './one-machine.ts'
import { TrialPlatform } from './trial-platform.fixture.ts'

const CHECKED = {
  image: 'v1',
  services: [{ internal_port: 80, checks: [{ type: 'tcp' }] }],
}

async function oneMachine(config = CHECKED) {
  const platform = new TrialPlatform(new LeapingClock(), { sick: { outcome: 'unhealthy' } })
  const options = {
    ...{ machines: platform.machines, clock: platform.clock },
    ...{ random: seededRandom(1), tell: () => undefined },
  }
  const machine = await platform.machines.create({ config, region: 'ams' })
  await watchOne(machine, { skipChecks: false }, options)
  const now = await platform.machines.get(machine.id)
  const update = (more: Partial<OneUpdate>) =>
    updateOne(
      {
        ...{ machine: now, config: { ...config, image: 'v2' } },
        ...{ skipLaunch: false, skipChecks: false, isDetached: false },
        ...more,
      },
      options,
    )
  return { platform, update, now }
}

test('one machine gets its change, is healthy then, and nobody holds its lease', async () => {
  const { platform, update } = await oneMachine()
  const changed = await update({})
  assert.equal(changed.state, 'started')
  assert.deepEqual(platform.images(), ['v2'])
  assert.equal(platform.leased(), 0)
})

test('checks that do not pass end the wait, unless they are not waited for', async () => {
  const { platform, update } = await oneMachine()
  const config = { ...CHECKED, image: 'sick' }
  await assert.rejects(update({ config }), { code: 'deploy.unhealthy' })
  assert.equal(platform.leased(), 0)
  const { update: again } = await oneMachine()
  assert.equal((await again({ config, skipChecks: true })).state, 'started')
})

test('a machine at rest gets its change and stays at rest', async () => {
  const { platform, now, update } = await oneMachine()
  await platform.machines.stop(now.id)
  await platform.machines.wait(now.id, { states: ['stopped'], timeoutMs: 10_000 })
  const machine = await platform.machines.get(now.id)
  assert.equal((await update({ machine, skipLaunch: true })).state, 'stopped')
  assert.deepEqual(platform.images(), ['v2'])
})
