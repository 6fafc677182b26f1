import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { DerivedPart } from './parts/derived-part.ts'

/** Makes the folders and writes the files that a part finds at its start. */
export function preparePart({ files, folders = [] }: DerivedPart): void {
  for (const folder of folders) mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (const { path, text } of files) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileSync(`${path}.new`, text, { mode: 0o600 })
    renameSync(`${path}.new`, path) // a part may be starting anew at this moment
  }
}
