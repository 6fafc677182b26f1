import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorCode } from '#base'

/** Where the API is and who asks, for commands that are told neither. */
export interface Profile {
  readonly api: string
  readonly token: string
  /** PEM, when the API's authority is the platform's own. */
  readonly ca?: string
}

/** Of this machine; only its owner may read it. `GODWIT_PROFILE` names another one. */
export const profileFile = (): string => process.env['GODWIT_PROFILE'] ?? '/var/lib/godwit/cli.json'

/** Undefined: there is none, or none that the caller may read. */
export function readProfile(path = profileFile()): Profile | undefined {
  try {
    const read = JSON.parse(readFileSync(path, 'utf8')) as Partial<Profile>
    return typeof read.api === 'string' && typeof read.token === 'string'
      ? (read as Profile)
      : undefined
  } catch (error) {
    if (error instanceof SyntaxError || ['ENOENT', 'EACCES'].includes(errorCode(error) ?? '')) {
      return undefined
    }
    throw error
  }
}

export function writeProfile(profile: Profile, path = profileFile()): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.new`, `${JSON.stringify(profile)}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

export const removeProfile = (path = profileFile()) => rmSync(path, { force: true })
