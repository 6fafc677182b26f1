import { identify, isAlive, readPidFile, removePidFile, writePidFile } from '#supervise'
import { refuse } from '../errors.ts'

/** One process a folder: two would boot every machine twice. @throws FlydError flyd.conflict */
export function onlyOne(path: string): Disposable {
  const other = readPidFile(path)
  if (other !== undefined && isAlive(other)) {
    throw refuse('flyd.conflict', `aborted: flyd runs here already, as process ${other.pid}`)
  }
  const self = identify(process.pid)
  if (self !== undefined) writePidFile(path, self)
  return { [Symbol.dispose]: () => removePidFile(path) }
}
