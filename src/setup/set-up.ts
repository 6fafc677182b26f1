import { join } from 'node:path'
import { type Clock, GodwitError, type Random } from '#base'
import { type Apt, guardOf, installPackages } from './apt.ts'
import { bootFilesPiece } from './boot-files.ts'
import { readFacts } from './facts.ts'
import { guestInitPiece } from './guest-init.ts'
import { networkProgramsPiece } from './network-programs.ts'
import { findProof, neededPackages, type Purpose } from './packages.ts'
import { ensurePiece, isPieceReady, outputPaths, type Piece } from './piece.ts'
import { type MachineFacts, type Plan, parseOsRelease, planSetup } from './plan.ts'
import type { Report } from './report.ts'
import { liftGuard } from './service-guard.ts'
import { removeStamp, writeStamp } from './stamp.ts'
import { initramfsPiece, kernelPiece } from './trial-guest.ts'

export interface SetUpOptions {
  /** The checkout: `build/` lies in it. */
  readonly root: string
  /** From bin/bootstrap.mjs; without it no stamp is written, and the next start looks again. */
  readonly stampKey: string | undefined
  readonly purpose: Purpose
  readonly clock: Clock
  readonly random: Random
  readonly report: Report
  readonly signal: AbortSignal
}

/**
 * Makes this machine ready: packages, then what is built from them. May run twice and after a
 * `kill -9`; nothing is changed before it is certain that everything can be installed.
 *
 * @returns true when there was something to do.
 * @throws SetupError of every code in its catalogue.
 */
export async function setUp(options: SetUpOptions): Promise<boolean> {
  const { root, signal, stampKey, purpose } = options
  const buildFolder = join(root, 'build')
  const facts = await readFacts(purpose, signal)
  const plan = planSetup(facts, purpose)
  await removeStamp(buildFolder)
  if (facts.userId === 0) await liftGuard(guardOf({ signal })) // of a set-up that was killed
  const installed = await installMissing(plan, options)
  const pieces = piecesOf(plan, facts, root)
  const allReady = pieces.every((piece) => isPieceReady(piece, buildFolder))
  const skipped = await buildPieces(pieces, buildFolder, options)
  const worked = installed || !allReady
  if (stampKey === undefined) return worked
  const proofs = neededPackages(plan.architecture, purpose).map(findProof)
  const outputs = pieces.flatMap((piece) => outputPaths(piece, buildFolder))
  const missing = new Set(skipped.flatMap((piece) => outputPaths(piece, buildFolder)))
  await writeStamp(buildFolder, {
    key: stampKey,
    tests: purpose === 'tests',
    paths: [
      ...proofs.filter((path) => path !== undefined),
      ...outputs.filter((path) => !missing.has(path)),
    ],
    skipped: skipped.map(({ name }) => name),
  })
  return worked
}

function piecesOf(
  { architecture }: Plan,
  { osRelease }: MachineFacts,
  root: string,
): readonly Piece<Apt>[] {
  const { ID = '', VERSION_ID = '' } = parseOsRelease(osRelease)
  const kernel = kernelPiece(architecture, `${ID} ${VERSION_ID}`)
  const init = guestInitPiece(join(root, 'native', 'init'), architecture)
  // QEMU's microvm machine, which boots them, is x86's.
  const bootFiles = architecture === 'x86_64' ? [bootFilesPiece([kernel, init])] : []
  const programs = networkProgramsPiece(join(root, 'native', 'bpf'), architecture)
  return [kernel, initramfsPiece, init, programs, ...bootFiles]
}

async function installMissing(plan: Plan, options: SetUpOptions): Promise<boolean> {
  const packages = [...plan.install, ...plan.reinstall]
  if (packages.length === 0) return false
  const { report } = options
  report.note(`${packages.length} Debian packages are missing:`)
  for (const { name, why } of packages) report.note(`  ${name.padEnd(16)} ${why}`)
  await report.step(
    'installing them (apt-get, their daemons stay off)',
    () => `${packages.length} Debian packages installed`,
    () => installPackages(plan, options),
  )
  return true
}

/**
 * The pieces serve `godwit doctor` and its trials alone: the project starts without them, so one
 * that cannot be made (no mirror, no apt) is reported and passed over.
 */
async function buildPieces(pieces: readonly Piece<Apt>[], folder: string, options: SetUpOptions) {
  const skipped: Piece<Apt>[] = []
  for (const piece of pieces) {
    if (isPieceReady(piece, folder)) continue
    try {
      await options.report.step(
        `building build/${piece.name}: ${piece.why}`,
        () => `build/${piece.name} ready`,
        () => ensurePiece(piece, folder, options),
      )
    } catch (error) {
      if (!(error instanceof GodwitError) || options.signal.aborted) throw error
      options.report.note(`going on without build/${piece.name}: ${error.message}`)
      skipped.push(piece)
    }
  }
  return skipped
}
