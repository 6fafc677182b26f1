/**
 * Things that set-up builds into `build/<name>/`. A piece is rebuilt when its inputs change, and
 * it appears all at once: built in a folder of its own and renamed, so that a build which was cut
 * short leaves nothing that could be taken for a piece.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '#base'

export interface Piece<Context> {
  /** Folder under `build/`. Lower-case letters and dashes. */
  readonly name: string
  readonly why: string
  /** Everything that the outputs depend on. A change of any byte rebuilds the piece. */
  inputs(): readonly (string | Uint8Array)[]
  /** Files that the piece consists of, relative to its folder. */
  readonly outputs: readonly string[]
  /** Fills `folder`, which is empty. */
  build(folder: string, context: Context): Promise<void>
}

const INPUTS_FILE = '.inputs'

/** Builds the piece if it is not there. @returns true when it had to be built. */
export async function ensurePiece<Context>(
  piece: Piece<Context>,
  buildFolder: string,
  context: Context,
): Promise<boolean> {
  const wanted = hashInputs(piece.inputs())
  const folder = join(buildFolder, piece.name)
  if (isBuilt(piece, folder, wanted)) return false
  const fresh = join(buildFolder, `.${piece.name}.new`)
  rmSync(fresh, { recursive: true, force: true }) // of a build that was killed
  mkdirSync(fresh, { recursive: true })
  try {
    await piece.build(fresh, context)
    await writeFile(join(fresh, INPUTS_FILE), wanted)
    rmSync(folder, { recursive: true, force: true })
    renameSync(fresh, folder)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
  return true
}

/** True when the piece is there and its inputs are the ones it was built from. */
export function isPieceReady<Context>(piece: Piece<Context>, buildFolder: string): boolean {
  return isBuilt(piece, join(buildFolder, piece.name), hashInputs(piece.inputs()))
}

/** Absolute paths of the outputs. */
export function outputPaths<Context>(piece: Piece<Context>, buildFolder: string): string[] {
  return piece.outputs.map((output) => join(buildFolder, piece.name, output))
}

function isBuilt<Context>(piece: Piece<Context>, folder: string, wanted: string): boolean {
  try {
    if (readFileSync(join(folder, INPUTS_FILE), 'utf8') !== wanted) return false
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
    return false
  }
  return piece.outputs.every((output) => existsSync(join(folder, output)))
}

/** Length-prefixed, so that no two different lists of inputs run together. */
function hashInputs(inputs: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  for (const input of inputs) {
    const bytes = typeof input === 'string' ? Buffer.from(input) : input
    hash.update(`${bytes.length}:`).update(bytes)
  }
  return hash.digest('hex')
}
