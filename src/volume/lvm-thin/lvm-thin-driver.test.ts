import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { type GuestProgram, makeRootDisk, runInGuest } from './thin-guest.ts'

const DEADLINE_MS = 600_000
const CONTRACT = join(import.meta.dirname, 'guest-suite.ts')
const FAULTS = join(import.meta.dirname, 'guest-faults.ts')
const CRASH_WORKER = join(import.meta.dirname, '../crash-worker.ts')

/** Two guests of one processor at once: an emulator uses no more than one of the host's for each. */
describe('in a guest whose kernel has them, thin volumes', { concurrency: true }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-thin-'))
  before(() => makeRootDisk(folder, [CONTRACT, FAULTS, CRASH_WORKER]))
  after(() => rmSync(folder, { recursive: true }))

  const run = async (t: TestContext, program: GuestProgram) => {
    const signal = AbortSignal.any([t.signal, AbortSignal.timeout(DEADLINE_MS)])
    const { exitCode, output } = await runInGuest(folder, program, signal)
    const passed = output.match(/^✔ .*$/gm) ?? []
    t.diagnostic(`kept in the guest:\n${passed.join('\n')}`)
    assert.equal(exitCode, 0, output)
    assert(passed.length > 0, output)
  }

  test('keep what block devices promise', (t) =>
    run(t, { name: 'contract', program: CONTRACT, disks: { pool: 512 << 20 } }))

  test('survive kills and a full pool', (t) => {
    const disks = { main: 128 << 20, crash: 256 << 20, tiny: 32 << 20 }
    return run(t, { name: 'faults', program: FAULTS, disks })
  })
})
