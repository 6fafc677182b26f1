import { Option } from 'commander'
import { ApiInputError } from './input-error.ts'

export interface AppOptions {
  readonly app?: string
  readonly config?: string
}

export const appOption = () =>
  new Option('-a, --app <name>', 'the app; else what FLY_APP or the configuration file says')

export const configOption = () =>
  new Option('-c, --config <path>', 'the configuration file, or the folder that it is in')

/**
 * The app that a command is about: `--app`, else FLY_APP, else the configuration file's.
 *
 * @throws ApiInputError cli.no_app; AppConfigError
 */
export async function appName({ app, config }: AppOptions): Promise<string> {
  const given = app ?? process.env['FLY_APP']
  if (given !== undefined && given !== '') return given
  const { findConfig, namedConfig, readAppConfig } = await import('#app-config')
  const file = config === undefined ? findConfig('.') : namedConfig(config)
  const found = file === undefined ? undefined : readAppConfig(file).app
  if (found !== undefined) return found
  throw new ApiInputError('cli.no_app', {
    what: 'which app?',
    fix: 'give --app, set FLY_APP, or go to the folder with its fly.toml',
  })
}
