import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import type { AppConfig } from '#app-config'
import { type AppOptions, appName, appOption } from './app-option.ts'
import { type ConnectionOptions, connect, type Print, withConnection } from './connection.ts'
import { ApiInputError } from './input-error.ts'

export type ReleaseOptions = ConnectionOptions & AppOptions

const LACKS: ReadonlySet<string> = new Set(['cli.no_api', 'cli.no_token', 'cli.no_app'])

/** The configuration of the release that runs. @throws ApiInputError cli.failed: never deployed; as `connect` */
export async function releaseConfig(
  options: ReleaseOptions,
  otherwise = '',
): Promise<{ app: string; version: number; config: AppConfig }> {
  try {
    const app = await appName(options)
    using client = await connect(options)
    const release = await client.releases(app).current()
    if (release !== undefined) {
      return { app, version: release.version, config: release.definition as AppConfig }
    }
    throw new ApiInputError('cli.failed', {
      what: `${app} has no release whose configuration could be shown`,
      fix: `deploy it first${otherwise}`,
    })
  } catch (error) {
    if (!(error instanceof ApiInputError) || !LACKS.has(error.code)) throw error
    const fix = `${error.fix}${otherwise}`
    throw new ApiInputError(error.code, {
      what: error.what,
      values: error.values,
      fix,
      cause: error,
    })
  }
}

interface SaveOptions extends ReleaseOptions {
  readonly yes?: boolean
  readonly json?: boolean
}

/** `config save`: what runs as a file. */
export function configSaveCommand(print: Print): Command {
  const command = new Command('save')
    .summary('write fly.toml from the release that runs')
    .description(
      'Writes fly.toml from the configuration of the release that runs. A file that is there already is written over only with --yes.',
    )
    .addOption(appOption())
    .option('-c, --config <path>', 'the file, or the folder that it goes to', '.')
    .option('-y, --yes', 'write over a file that is there')
    .option('-j, --json', 'print JSON')
  return withConnection(command)
    .addHelpText(
      'after',
      '\nExamples:\n  $ godwit config save -a web\n  $ godwit config save -a web -c ./web --yes',
    )
    .action(async ({ config: path = '.', ...options }: SaveOptions) => {
      const file = /\.(toml|json|ya?ml)$/.test(path) ? path : join(path, 'fly.toml')
      const named = options.app === undefined && existsSync(file) ? { config: file } : {}
      const { app, version, config } = await releaseConfig({ ...options, ...named })
      if (existsSync(file) && options.yes !== true) {
        throw new ApiInputError('cli.failed', {
          what: 'there is such a file already',
          values: { file },
          fix: 'write over it with --yes, or name another with --config',
        })
      }
      writeFileSync(file, await textOf(file, { ...config, app }))
      if (options.json) return print(`${JSON.stringify({ app, version, file })}\n`)
      print(`${file} is the configuration of v${version} of ${app}\n`)
    })
}

async function textOf(file: string, config: AppConfig): Promise<string> {
  if (file.endsWith('.json')) return `${JSON.stringify(config, null, 2)}\n`
  if (/\.ya?ml$/.test(file)) return (await import('yaml')).stringify(config)
  return `${(await import('smol-toml')).stringify(config)}\n`
}
