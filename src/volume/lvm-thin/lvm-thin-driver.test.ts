import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { runInGuest } from './thin-guest.ts'

const DEADLINE_MS = 170_000

test('in a guest whose kernel has them, thin volumes keep what block devices promise', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-thin-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const program = join(import.meta.dirname, 'guest-suite.ts')
  const disks = { pool: 512 << 20 }
  const signal = AbortSignal.any([t.signal, AbortSignal.timeout(DEADLINE_MS)])
  const { exitCode, output } = await runInGuest(folder, { program, disks }, signal)
  const passed = output.match(/^✔ .*$/gm) ?? []
  t.diagnostic(`kept in the guest:\n${passed.join('\n')}`)
  assert.equal(exitCode, 0, output)
  assert(passed.length > 0, output)
})
