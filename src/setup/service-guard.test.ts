import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { disableService } from './disable-service.ts'
import { guardedServices, guardScript, liftGuard, withoutStarting } from './service-guard.ts'

const FORBIDDEN = 101

function setting(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'guard-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const disabled: string[] = []
  const options = { folder, disable: async (service: string) => void disabled.push(service) }
  const policy = join(folder, 'policy-rc.d')
  const ask = (...words: string[]) => spawnSync('sh', [policy, ...words]).status
  return { folder, disabled, options, policy, ask }
}

test('the named services may not start while the work runs, all others may', async (t) => {
  const { disabled, options, ask, policy } = setting(t)
  await withoutStarting(['bird', 'nats-server'], options, async () => {
    assert.equal(ask('bird', 'start'), FORBIDDEN)
    assert.equal(ask('nats-server.service', 'restart'), FORBIDDEN)
    assert.equal(ask('ssh', 'restart'), 0)
    assert.equal(ask('bird6', 'start'), 0)
  })
  assert.deepEqual(disabled, ['bird', 'nats-server'])
  assert.equal(existsSync(policy), false)
})

test('a policy that was there answers for all others, and comes back unchanged', async (t) => {
  const { folder, options, ask, policy } = setting(t)
  const theirs = '#!/bin/sh\n[ "$1" = ssh ] && exit 104\nexit 101\n'
  writeFileSync(policy, theirs, { mode: 0o755 })
  await withoutStarting(['bird'], options, async () => {
    assert.equal(ask('ssh', 'start'), 104)
    assert.equal(ask('cron', 'start'), 101)
    assert.equal(ask('bird', 'start'), FORBIDDEN)
  })
  assert.equal(readFileSync(policy, 'utf8'), theirs)
  assert.deepEqual(readdirSync(folder), ['policy-rc.d'])
})

test('the guard is lifted when the work fails', async (t) => {
  const { folder, options, disabled } = setting(t)
  const work = withoutStarting(['bird'], options, () => Promise.reject(new Error('no mirror')))
  await assert.rejects(work, /no mirror/)
  assert.deepEqual(readdirSync(folder), [])
  assert.deepEqual(disabled, ['bird'])
})

test('kill -9 while the guard was up: the next set-up disables the services and lifts it', async (t) => {
  const { folder, options, disabled, policy } = setting(t)
  const before = join(folder, 'policy-rc.d.before-godwit')
  writeFileSync(policy, guardScript(['bird', 'nats-server'], before))
  writeFileSync(before, 'theirs')
  await liftGuard(options)
  assert.deepEqual(disabled, ['bird', 'nats-server'])
  assert.equal(readFileSync(policy, 'utf8'), 'theirs')
  await liftGuard(options) // twice does no harm
  assert.equal(readFileSync(policy, 'utf8'), 'theirs')
  assert.equal(disabled.length, 2)
})

test('kill -9 between the two renames: the policy that was there comes back', async (t) => {
  const { folder, options, policy } = setting(t)
  writeFileSync(join(folder, 'policy-rc.d.before-godwit'), 'theirs')
  await liftGuard(options)
  assert.equal(readFileSync(policy, 'utf8'), 'theirs')
})

test('a policy that is not ours is not touched, and names no service', async (t) => {
  const { options, policy, disabled } = setting(t)
  writeFileSync(policy, '#!/bin/sh\nexit 101\n')
  await liftGuard(options)
  assert.equal(readFileSync(policy, 'utf8'), '#!/bin/sh\nexit 101\n')
  assert.deepEqual(disabled, [])
  assert.equal(guardedServices('#!/bin/sh\nexit 101\n'), undefined)
})

test('a service is disabled by taking its link, and its alone, out of every target', async (t) => {
  const { folder } = setting(t)
  const wants = join(folder, 'systemd', 'system', 'multi-user.target.wants')
  mkdirSync(wants, { recursive: true })
  for (const unit of ['bird.service', 'ssh.service']) symlinkSync('/nowhere', join(wants, unit))
  const { signal } = new AbortController()
  await disableService('bird', folder, signal)
  await disableService('bird', folder, signal) // twice does no harm
  assert.deepEqual(readdirSync(wants), ['ssh.service'])
  await disableService('bird', join(folder, 'nothing-here'), signal)
})
