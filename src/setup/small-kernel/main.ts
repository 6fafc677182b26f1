/** `npm run kernel`: builds the small kernel, unless the one of this configuration is there. */
import { join } from 'node:path'
import { GodwitError, systemClock, systemRandom } from '#base'
import { installPackages } from '../apt.ts'
import { exitCodeOf } from '../errors.ts'
import { findProof } from '../packages.ts'
import { ensurePiece, isPieceReady } from '../piece.ts'
import { createReport } from '../report.ts'
import { buildPackages, smallKernelPiece } from './build-kernel.ts'

/** Files that the compiler works through, about: for progress only. */
const COMPILED_ABOUT = 1_500
const TOLD_EVERY = 100
const INTERRUPTED = 130

const interrupt = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => interrupt.abort(new Error(`interrupted by ${signal}`)))
}
const { signal } = interrupt
const root = join(import.meta.dirname, '../../..')
const buildFolder = join(root, 'build')
const isTerminal = process.stderr.isTTY === true
const report = createReport({
  write: (text) => process.stderr.write(text),
  colour: isTerminal && !process.env['NO_COLOR'],
  overwrite: false,
  monotonicMs: systemClock.monotonicMs,
})
const apt = { clock: systemClock, random: systemRandom, report, signal }
const piece = smallKernelPiece(join(root, 'native/kernel/config'))

function progress(compiled: number): void {
  if (compiled % TOLD_EVERY !== 0) return
  const percent = Math.min(99, Math.round((100 * compiled) / COMPILED_ABOUT))
  report.note(`  ${compiled} files compiled, about ${percent} %`)
}

async function build(): Promise<void> {
  if (isPieceReady(piece, buildFolder)) {
    report.note('build/small-kernel is there, and made from this configuration')
    return
  }
  const missing = buildPackages.filter((one) => findProof(one) === undefined)
  if (missing.length > 0) {
    const plan = { architecture: 'x86_64', install: missing, reinstall: [] } as const
    const names = missing.map(({ name }) => name).join(', ')
    await report.step(
      `installing ${names}`,
      () => 'installed',
      () => installPackages(plan, apt),
    )
  }
  await report.step(
    'building build/small-kernel: minutes of all processors, 2 GB of disk meanwhile',
    () => 'build/small-kernel ready: machines boot it from now on',
    () => ensurePiece(piece, buildFolder, { ...apt, progress }),
  )
}

try {
  await build()
} catch (error) {
  if (signal.aborted) {
    report.note(`${signal.reason.message}; nothing of the build is left`)
    process.exitCode = INTERRUPTED
  } else if (error instanceof GodwitError) {
    process.stderr.write(`error: ${error.message}\n`)
    process.exitCode = exitCodeOf(error.code)
  } else throw error
}
