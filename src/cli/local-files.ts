import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { AppConfigError, type ReadLocalFile } from '#app-config'
import { errorCode } from '#base'

/** Reads the files that a configuration names by `local_path`: relative to the file that names them. */
export const localFiles =
  (configFile: string): ReadLocalFile =>
  (path) => {
    const file = resolve(dirname(configFile), path)
    try {
      return readFileSync(file)
    } catch (cause) {
      throw new AppConfigError('app_config.unreadable', {
        what: 'cannot read a file that [[files]] names',
        values: { local_path: path, why: errorCode(cause) },
        fix: `write its path from the folder of ${configFile}`,
        cause,
      })
    }
  }
