import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import test from 'node:test'

/** The first numbers that a run with this environment draws. */
function drawn(env: NodeJS.ProcessEnv): string {
  const program = `
    import { fc } from ${JSON.stringify(import.meta.resolve('./index.ts'))}
    const drawn = []
    fc.assert(fc.property(fc.nat(), (one) => void drawn.push(one)))
    console.log(drawn.join())`
  const { SEED: _seed, EXPLORE_SEED: _explore, ...rest } = process.env
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', program],
    { encoding: 'utf8', env: { ...rest, ...env }, timeout: 60_000 },
  )
  assert.equal(status, 0, stderr)
  return stdout
}

test('two runs draw the same, another seed draws something else and again the same', () => {
  const kept = drawn({})
  assert.equal(drawn({}), kept)
  const other = drawn({ EXPLORE_SEED: '7' })
  assert.notEqual(other, kept)
  assert.equal(drawn({ SEED: '7' }), other)
})
