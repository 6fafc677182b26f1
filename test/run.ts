/**
 * `npm test`: the checks, then every test, then the proof that nothing was left behind. Arguments are
 * files to run instead of all; options that begin with `--test` go to Node's runner. `--explore` starts the
 * random tests from a new seed, and says which.
 */
import { spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { takeSnapshot } from './leftovers.ts'

/** Those of one part, which do not need the machine for themselves: most of the time they wait. */
const PART_TESTS = ['check/**/*.test.ts', 'src/**/*.test.ts', 'bench/**/*.test.ts']
const PARTS_AT_ONCE = 2
/** Whole worlds, one after the other. */
const PLATFORM_TESTS = ['test/**/*.test.ts']
/** Of one test with its subtests, on a machine that is busy with others. */
const TEST_TIMEOUT_MS = 900_000

/** Runs a program on the pinned Node; true when it succeeded. */
function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): boolean {
  const node = ['--disable-warning=ExperimentalWarning', ...args]
  const { status } = spawnSync(process.execPath, node, {
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  return status === 0
}

const given = process.argv.slice(2)
const options = given.filter((argument) => argument.startsWith('--test'))
if (given.includes('--explore')) {
  const seed = String(randomInt(2 ** 31))
  process.env['EXPLORE_SEED'] = seed
  console.log(`random tests start from SEED=${seed}`)
}
const files = given.filter((argument) => !argument.startsWith('--'))

const folder = mkdtempSync(join(tmpdir(), 'godwit-test-'))
try {
  const snapshot = join(folder, 'before.json')
  writeFileSync(snapshot, JSON.stringify(takeSnapshot()))
  const test = (atOnce: number, those: readonly string[]) =>
    run([
      '--test',
      `--test-timeout=${TEST_TIMEOUT_MS}`,
      `--test-concurrency=${atOnce}`,
      ...options,
      ...those,
    ])
  const passed = [
    ...(files.length > 0
      ? [test(1, files)]
      : [run(['check/all.ts']), test(PARTS_AT_ONCE, PART_TESTS), test(1, PLATFORM_TESTS)]),
    run(['--test', 'test/nothing-left.ts'], { GODWIT_SNAPSHOT: snapshot }),
  ]
  process.exitCode = passed.every(Boolean) ? 0 : 1
} finally {
  rmSync(folder, { recursive: true })
}
