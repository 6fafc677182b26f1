/** The C side of the protocol, compiled with the address checker: see native/init/fuzz. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../../..')
const COMPILE_MS = 60_000
/** GODWIT_FUZZ_SECONDS=600 for a long one. */
const fuzzSeconds = Number(process.env['GODWIT_FUZZ_SECONDS'] ?? 3)

async function compile(t: TestContext, checks: string, sources: string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-parser-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const flags = ['-std=gnu11', '-g', '-O1', '-Wall', '-Wextra', '-Werror', `-fsanitize=${checks}`]
  const program = join(folder, 'program')
  await run('clang', [...flags, ...sources, '-o', program], {
    cwd: join(root, 'native/init'),
    timeout: COMPILE_MS,
  })
  return program
}

test("init's parser finds the same frames as ours", async (t) => {
  const sources = ['fuzz/frame-vectors.c', 'frame.c']
  const program = await compile(t, 'address,undefined', sources)
  const { stdout } = await run(program, [join(root, 'test/fixtures/guest/frames.txt')])
  assert.match(stdout, /^\d+ streams\n$/)
})

test("no bytes make init's parsers leave their buffers", async (t) => {
  const sources = ['fuzz/fuzz-protocol.c', 'frame.c', 'record.c']
  const program = await compile(t, 'fuzzer,address,undefined', sources)
  const args = [`-max_total_time=${fuzzSeconds}`, '-max_len=40000']
  const { stderr } = await run(program, args, {
    cwd: dirname(program),
    timeout: (fuzzSeconds + 60) * 1000,
  })
  assert.match(stderr, /Done \d+ runs/)
})
