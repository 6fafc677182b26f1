import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import test from 'node:test'
import { nearestNames } from './discover.ts'

function sim(...args: string[]) {
  const main = `${import.meta.dirname}/main.ts`
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  return { status, stdout, stderr }
}

test('a seed replays to the same history, and --timeline shows it', () => {
  const run = () => sim('replicated-counter', '--seed', '3', '--json', '--timeline')
  const first = run()
  assert.equal(first.status, 0, first.stderr)
  assert.match(first.stdout, /time ms +primary/)
  const facts = JSON.parse(first.stdout.trim().split('\n').at(-1) ?? '')
  assert.deepEqual([facts.scenario, facts.seed, facts.passed], ['replicated-counter', 3, true])
  assert.equal(run().stdout, first.stdout)
})

test('--seeds stops at the first seed that fails, says how to replay it, and exits with 1', () => {
  const { status, stdout, stderr } = sim(
    'replicated-counter',
    '--seeds',
    '20',
    '--set',
    'mistake=ack-before-fsync',
    '--json',
  )
  assert.equal(status, 1)
  const facts = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
  assert.equal(facts.passed, false)
  assert.equal(facts.seedCount, facts.failedSeed + 1)
  assert.match(
    stderr,
    /replay: +npm run sim -- replicated-counter --seed \d+ --set mistake=ack-before-fsync/,
  )
})

test('--list names every scenario with its promise', () => {
  const { status, stdout } = sim('--list')
  assert.equal(status, 0)
  assert.match(stdout, /^replicated-counter +an acknowledged add/m)
})

test('a wrong command line exits with 64 and says what to write', () => {
  const typo = sim('replicated-conter')
  assert.equal(typo.status, 64)
  assert.match(typo.stderr, /did you mean replicated-counter\?/)
  assert.match(sim('replicated-counter', '--seed', 'x').stderr, /--seed takes a whole number/)
  assert.match(sim('replicated-counter', '--set', 'cleints=3').stderr, /options and defaults/)
  assert.equal(sim('replicated-counter', '--what').status, 64)
})

test('the nearest names are those a few letters away, or that contain what was typed', () => {
  const names = ['swim', 'swim-churn', 'dns', 'bidding']
  assert.deepEqual(nearestNames(names, 'swin'), ['swim'])
  assert.deepEqual(nearestNames(names, 'churn'), ['swim-churn'])
  assert.deepEqual(nearestNames(names, 'kubernetes'), [])
})
