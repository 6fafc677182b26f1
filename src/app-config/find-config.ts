import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '#base'
import { AppConfigError } from './errors.ts'

/** Looked for in this order. */
const NAMES = ['fly.toml', 'fly.json', 'fly.yaml'] as const

/** The configuration file of a folder; undefined when there is none. */
export const findConfig = (folder: string): string | undefined =>
  NAMES.map((name) => join(folder, name)).find((file) => existsSync(file))

/**
 * The file that `--config` names: itself, or the one in the folder that it names.
 *
 * @throws AppConfigError app_config.not_found
 */
export function namedConfig(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false })
  const file = stats?.isDirectory() ? findConfig(path) : path
  if (stats !== undefined && file !== undefined) return file
  throw new AppConfigError('app_config.not_found', {
    what: 'there is no configuration',
    values: { path },
    fix: `name a file, or a folder with ${NAMES.join(', ')}`,
  })
}

/** @throws AppConfigError app_config.not_found, app_config.unreadable */
export function readConfigText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const isMissing = errorCode(cause) === 'ENOENT'
    throw new AppConfigError(isMissing ? 'app_config.not_found' : 'app_config.unreadable', {
      what: 'cannot read the configuration',
      values: { file, why: errorCode(cause) },
      fix: 'name a file that exists and that you may read',
      cause,
    })
  }
}
