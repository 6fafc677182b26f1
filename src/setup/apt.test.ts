import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { type Clock, seededRandom, systemClock } from '#base'
import { type Apt, installPackages, isLocked, wantsFreshLists } from './apt.ts'
import type { AptPackage } from './packages.ts'
import type { Plan } from './plan.ts'

const LOCK = 'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt-get)'
const tini: AptPackage = { name: 'tini', why: 'a test', proof: 'tini' }
const plan: Plan = { architecture: 'x86_64', install: [tini], reinstall: [] }

/** A folder at the head of PATH with an `apt-get` that answers as told, and logs its calls. */
function fakeApt(t: TestContext, script: string) {
  const folder = mkdtempSync(join(tmpdir(), 'apt-'))
  const path = process.env['PATH']
  process.env['PATH'] = `${folder}:${path}`
  t.after(() => {
    process.env['PATH'] = path
    rmSync(folder, { recursive: true })
  })
  const log = join(folder, 'log')
  writeFileSync(log, '')
  writeFileSync(join(folder, 'dpkg'), '#!/bin/sh\nexit 0\n')
  const head = `#!/bin/sh\necho "$*" >>${log}\ncalls=$(wc -l <${log})\n`
  writeFileSync(join(folder, 'apt-get'), `${head}${script}\n`)
  for (const name of ['dpkg', 'apt-get']) chmodSync(join(folder, name), 0o755)
  return () =>
    readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0])
}

/** Sleeping takes no time and is counted as if it had. */
function setting() {
  let nowMs = 0
  const notes: string[] = []
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => nowMs,
    async sleep(ms) {
      nowMs += ms + 1
    },
  }
  const apt: Apt = {
    clock,
    random: seededRandom(1),
    signal: new AbortController().signal,
    report: { step: (_doing, _done, work) => work(), note: (text) => void notes.push(text) },
  }
  return { apt, notes }
}

test('a lock that another apt holds is waited for, and the user is told once', async (t) => {
  const calls = fakeApt(t, `[ $calls -lt 4 ] && { echo '${LOCK}' >&2; exit 100; }; exit 0`)
  const { apt, notes } = setting()
  await installPackages(plan, apt)
  assert.deepEqual(calls(), ['install', 'install', 'install', 'install'])
  assert.deepEqual(notes, ['another apt is at work, waiting for its lock ...'])
})

test('lists that are absent or stale are fetched, then the installation is tried again', async (t) => {
  const calls = fakeApt(
    t,
    `[ $calls = 1 ] && { echo 'E: Unable to locate package tini' >&2; exit 100; }; exit 0`,
  )
  await installPackages(plan, setting().apt)
  assert.deepEqual(calls(), ['install', 'update', 'install'])
})

test('any other failure is an error that quotes apt, without a second try', async (t) => {
  const calls = fakeApt(t, `echo 'E: You have held broken packages.' >&2; exit 100`)
  await assert.rejects(installPackages(plan, setting().apt), {
    code: 'setup.apt_failed',
    message: /held broken packages/,
  })
  assert.deepEqual(calls(), ['install'])
})

test('a lock that is never given back ends the wait', async (t) => {
  fakeApt(t, `echo '${LOCK}' >&2; exit 100`)
  const { apt } = setting()
  const hasty: Clock = { ...apt.clock, sleep: (ms) => apt.clock.sleep(ms * 100) }
  await assert.rejects(installPackages(plan, { ...apt, clock: hasty }), {
    code: 'setup.apt_locked',
  })
})

test('what apt and dpkg say about locks and lists is understood', () => {
  const said = (stderr: string) => ({ stdout: '', stderr })
  const locks = [
    LOCK,
    'E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?',
    'E: Unable to lock directory /var/lib/apt/lists/',
    'dpkg: error: dpkg frontend lock was locked by another process with pid 7',
  ]
  for (const lock of locks) assert.equal(isLocked(said(lock)), true, lock)
  assert.equal(isLocked(said('E: Unable to locate package tini')), false)
  const stale = [
    'E: Unable to locate package tini',
    "E: Package 'tini' has no installation candidate",
    'E: Failed to fetch http://mirror/tini.deb  404  Not Found [IP: 192.0.2.1 80]',
  ]
  for (const text of stale) assert.equal(wantsFreshLists(said(text)), true, text)
  assert.equal(wantsFreshLists(said('E: You have held broken packages.')), false)
})
