import { statSync } from 'node:fs'
import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import type { Log } from './log.ts'

const PERIOD_MS = 1_000

export interface FollowOptions {
  /** Read together: a key and its certificate. */
  readonly paths: readonly string[]
  /** Called when one of them is another than before. While it throws it is called again each period. */
  readonly changed: () => void
  readonly log: Log
  readonly clock?: Clock
  /** @default 1,000 */
  readonly periodMs?: number
}

/**
 * Looks at files each second, until disposed: their owner puts others in their place, and nothing is restarted. Files that
 * cannot be read together, as while they are being replaced, are told once and tried again; what they said before counts.
 */
export function followFiles(options: FollowOptions): Disposable {
  const { paths, changed, log, clock = systemClock, periodMs = PERIOD_MS } = options
  let taken = stampOf(paths)
  let isTold = false
  let timer: Disposable
  const look = () => {
    timer = clock.setTimer(look, periodMs)
    try {
      const stamp = stampOf(paths)
      if (stamp === taken) return
      changed()
      taken = stamp
      isTold = false
      log.info({ files: paths }, 'files were read again')
    } catch (err) {
      if (!isTold) log.error({ err, files: paths }, 'files cannot be read again')
      isTold = true
    }
  }
  timer = clock.setTimer(look, periodMs)
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() }
}

/** A file that is renamed to the name of another has its own inode, whatever its times are. */
const stampOf = (paths: readonly string[]): string =>
  paths
    .map((path) => {
      const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
      return stat === undefined ? 'absent' : `${stat.ino} ${stat.mtimeNs} ${stat.size}`
    })
    .join(',')
