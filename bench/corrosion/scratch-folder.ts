import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface ScratchFolder extends Disposable {
  readonly path: string
}

/** A folder that is gone afterwards, also when this process is interrupted. */
export function openScratch(): ScratchFolder {
  const path = mkdtempSync(join(tmpdir(), 'godwit-bench-corrosion-'))
  const remove = () => rmSync(path, { recursive: true, force: true })
  const interrupted = () => process.exit(130) // runs `remove`
  process.on('exit', remove).on('SIGINT', interrupted).on('SIGTERM', interrupted)
  return {
    path,
    [Symbol.dispose]() {
      process.off('exit', remove).off('SIGINT', interrupted).off('SIGTERM', interrupted)
      remove()
    },
  }
}
