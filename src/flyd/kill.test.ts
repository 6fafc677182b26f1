import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import test from 'node:test'

const program = join(import.meta.dirname, 'fixture', 'kill-worker.ts')

async function life(folder: string, ...words: readonly string[]) {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', program, folder, ...words],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const output = text(child.stdout)
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { code, signal, output: await output }
}

/** A story in a folder of its own, with a death at `point` if there is one. */
async function tell(point: readonly string[]): Promise<unknown> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-flyd-kill-'))
  try {
    if (point.length > 0) {
      const { signal } = await life(folder, ...point)
      assert.equal(signal, 'SIGKILL', `it died at ${point.join(' ')}`)
    }
    const { code, output } = await life(folder)
    assert.equal(code, 0)
    return JSON.parse(output)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A sample: the simulator goes through all of them. */
const points = [
  ['commit', 'before', '4'],
  ['act', 'after', '5'],
  ['commit', 'after', '9'],
  ['act', 'before', '11'],
  ['commit', 'before', '14'],
] as const

test('flyd upon LMDB, killed with SIGKILL anywhere, ends as if it had not been', async () => {
  const reference = await tell([])
  for (const point of points) {
    assert.deepEqual(await tell(point), reference, `died at ${point.join(' ')}`)
  }
})
