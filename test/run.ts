/**
 * `npm test`: the checks, then every test, then the proof that nothing was left behind. Arguments are
 * files to run instead of all; options that begin with `--test` go to Node's runner.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { takeSnapshot } from './leftovers.ts'

const ALL_TESTS = [
  'check/**/*.test.ts',
  'src/**/*.test.ts',
  'test/**/*.test.ts',
  'bench/**/*.test.ts',
]
const TEST_TIMEOUT_MS = 180_000

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
const options = given.filter((argument) => argument.startsWith('--'))
const files = given.filter((argument) => !argument.startsWith('--'))

const folder = mkdtempSync(join(tmpdir(), 'godwit-test-'))
try {
  const snapshot = join(folder, 'before.json')
  writeFileSync(snapshot, JSON.stringify(takeSnapshot()))
  const runner = ['--test', `--test-timeout=${TEST_TIMEOUT_MS}`, ...options]
  const passed = [
    files.length > 0 || run(['check/all.ts']),
    run([...runner, ...(files.length > 0 ? files : ALL_TESTS)]),
    run(['--test', 'test/nothing-left.ts'], { GODWIT_SNAPSHOT: snapshot }),
  ]
  process.exitCode = passed.every(Boolean) ? 0 : 1
} finally {
  rmSync(folder, { recursive: true })
}
