/**
 * The second half of set-up, on the pinned Node: `bin/node src/setup/main.ts [STAMP_KEY] [--quiet] [--tests]`, called
 * by bin/bootstrap.mjs under its lock. Exit codes: see `exitCodeOf`; 130 after an interrupt.
 */
import { join } from 'node:path'
import { GodwitError, systemClock, systemRandom } from '#base'
import { exitCodeOf } from './errors.ts'
import { createReport } from './report.ts'
import { setUp } from './set-up.ts'

const INTERRUPTED = 130
const given = process.argv.slice(2)
const flags = given.filter((argument) => argument.startsWith('--'))
const interrupt = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => interrupt.abort(new Error(`interrupted by ${signal}`)))
}

const isTerminal = process.stderr.isTTY === true
const report = createReport({
  write: (text) => process.stderr.write(text),
  colour: isTerminal && !process.env['NO_COLOR'],
  overwrite: isTerminal,
  monotonicMs: systemClock.monotonicMs,
})
const startedMs = systemClock.monotonicMs()

try {
  const worked = await setUp({
    root: join(import.meta.dirname, '..', '..'),
    stampKey: given.find((argument) => !argument.startsWith('--')),
    purpose: flags.includes('--tests') ? 'tests' : 'running',
    clock: systemClock,
    random: systemRandom,
    report,
    signal: interrupt.signal,
  })
  if (worked || !flags.includes('--quiet'))
    report.note(`ready (${((systemClock.monotonicMs() - startedMs) / 1000).toFixed(1)} s)`)
} catch (error) {
  if (interrupt.signal.aborted) {
    report.note(`${interrupt.signal.reason.message}; the next start goes on from here`)
    process.exitCode = INTERRUPTED
  } else if (error instanceof GodwitError) {
    const values = Object.entries(error.values).map(([name, value]) => `${name}=${value}`)
    process.stderr.write(`error: ${error.what} (${values.join(', ')})\n`)
    if (error.fix !== undefined) process.stderr.write(`fix: ${error.fix}\n`)
    process.exitCode = exitCodeOf(error.code)
  } else throw error
}
