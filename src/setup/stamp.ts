import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * `build/setup.json`: set-up by this source code ended well, and these paths existed then.
 * bin/bootstrap.mjs reads it before every start; change both together.
 */
export interface Stamp {
  /** Hash of the source code of set-up, made by bin/bootstrap.mjs. */
  readonly key: string
  /** What tests and benchmarks need is there, too. */
  readonly tests: boolean
  /** Absolute. One of them missing sends the next start through set-up again. */
  readonly paths: readonly string[]
  /** What could not be made and is not needed to start; for people who read the file. */
  readonly skipped: readonly string[]
}

const NAME = 'setup.json'

/** Whole or not at all. */
export async function writeStamp(buildFolder: string, stamp: Stamp): Promise<void> {
  await mkdir(buildFolder, { recursive: true })
  const fresh = join(buildFolder, `${NAME}.new`)
  await writeFile(fresh, `${JSON.stringify(stamp, undefined, 2)}\n`)
  await rename(fresh, join(buildFolder, NAME))
}

export async function removeStamp(buildFolder: string): Promise<void> {
  await rm(join(buildFolder, NAME), { force: true })
}
