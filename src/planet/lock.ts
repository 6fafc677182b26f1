import { linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorCode } from '#base'
import { identify, isAlive, type ProcessIdentity } from '#supervise'
import { PlanetError } from './errors.ts'
import { readJson, runFolder } from './folders.ts'

/**
 * Holds a planet for one change while `work` runs. A lock whose holder died is taken over.
 *
 * @throws PlanetError planet.busy at once when another live process holds it.
 */
export async function withLock<T>(planet: string, work: () => Promise<T>): Promise<T> {
  const path = `${runFolder(planet)}.lock`
  const own = identify(process.pid)
  if (own === undefined) throw new Error('/proc does not list this process')
  takeLock(planet, path, own)
  try {
    return await work()
  } finally {
    rmSync(path, { force: true })
  }
}

function takeLock(planet: string, path: string, own: ProcessIdentity): void {
  mkdirSync(dirname(path), { recursive: true })
  const draft = `${path}.${own.pid}`
  try {
    writeFileSync(draft, JSON.stringify(own))
    if (tryLink(draft, path)) return
    const holder = readJson<ProcessIdentity>(path)
    if (holder !== undefined && isAlive(holder)) throw busy(planet, holder)
    rmSync(path, { force: true })
    if (!tryLink(draft, path)) throw busy(planet, readJson<ProcessIdentity>(path))
  } finally {
    rmSync(draft, { force: true })
  }
}

/** A link appears whole, with its holder's identity in it, or not at all. */
function tryLink(draft: string, path: string): boolean {
  try {
    linkSync(draft, path)
    return true
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false
    throw error
  }
}

function busy(planet: string, holder: ProcessIdentity | undefined): PlanetError {
  return new PlanetError('planet.busy', {
    what: 'another process is changing the planet',
    values: { planet, pid: holder?.pid },
    fix: 'wait for it to end, then try again',
  })
}
