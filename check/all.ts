/**
 * `npm run check`: types, style and the direction of imports, each in its own process and all at
 * once. Prints what each found; exits 1 when any of them found something.
 */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { findCircles } from './circles.ts'
import { checkImports } from './imports.ts'

interface Outcome {
  readonly name: string
  readonly passed: boolean
  readonly output: string
  readonly seconds: number
}

const RUN_DEADLINE_MS = 120_000

/** A tool of node_modules, on the Node that runs this file. */
function runTool(name: string, tool: string, args: string[]): Promise<Outcome> {
  const startedMs = performance.now()
  return new Promise((resolve) => {
    const options = { timeout: RUN_DEADLINE_MS, maxBuffer: 64 << 20 }
    execFile(
      process.execPath,
      [`node_modules/.bin/${tool}`, ...args],
      options,
      (error, stdout, stderr) => {
        const output = error === null ? '' : `${stdout}${stderr}` || error.message
        resolve({ name, passed: error === null, output, seconds: secondsSince(startedMs) })
      },
    )
  })
}

function checkDirection(): Outcome {
  const startedMs = performance.now()
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.ts'])
  const files = listed.toString().split('\n').filter(isFile)
  const sources = new Map(files.map((file) => [file, readFileSync(file, 'utf8')]))
  const violations = [
    ...[...sources].flatMap(([file, source]) => checkImports(file, source)),
    ...findCircles(sources),
  ]
  const output = violations
    .map(({ file, line, specifier, why }) => `${file}:${line} imports '${specifier}': ${why}\n`)
    .join('')
  const passed = violations.length === 0
  return { name: 'imports', passed, output, seconds: secondsSince(startedMs) }
}

/** Git also lists what is deleted and not yet committed. */
const isFile = (path: string) => path !== '' && existsSync(path)

const secondsSince = (startedMs: number) => (performance.now() - startedMs) / 1000

const outcomes = await Promise.all([
  runTool('types', 'tsc', ['--noEmit']),
  runTool('style', 'biome', ['check', '--error-on-warnings']),
  checkDirection(),
])
for (const { name, passed, output, seconds } of outcomes) {
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${name} (${seconds.toFixed(1)} s)`)
  if (output !== '') console.log(output.trimEnd())
}
process.exitCode = outcomes.every(({ passed }) => passed) ? 0 : 1
