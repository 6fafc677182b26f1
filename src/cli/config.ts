import { existsSync } from 'node:fs'
import { Command } from 'commander'
import { appOption } from './api/app-option.ts'
import { configSaveCommand, type ReleaseOptions, releaseConfig } from './api/config-release.ts'
import { withConnection } from './api/connection.ts'
import { renderTable } from './table.ts'
import { wantsColour } from './terminal.ts'

type Print = (text: string) => void

interface Where {
  config?: string
}

const CONFIG_OPTION = ['-c, --config <path>', 'the file, or the folder that it is in'] as const

/** `godwit config`: an app's fly.toml. */
export function configCommand(print: Print = (text) => void process.stdout.write(text)): Command {
  return new Command('config')
    .summary("an app's configuration (fly.toml)")
    .description(
      "An app's configuration: fly.toml, fly.json or fly.yaml, whichever is found first. docs/fly-toml.md names every key.",
    )
    .addCommand(validateCommand(print))
    .addCommand(showCommand(print))
    .addCommand(configSaveCommand(print))
    .addCommand(envCommand(print))
    .addCommand(keysCommand(print))
}

function validateCommand(print: Print): Command {
  return new Command('validate')
    .summary('say what is wrong with it')
    .description(
      'Says what is wrong with the configuration, and what works less than it seems to. Asks no server. ' +
        'Ends with 1 when it cannot be deployed.',
    )
    .option(...CONFIG_OPTION)
    .option('--strict', 'a warning is an error, unknown keys too')
    .option('--json', 'print JSON')
    .action(async ({ config, strict = false, json = false }: Where & Choices) => {
      const { problemText } = await import('#app-config')
      const { file, app, problems } = await readConfig(config)
      const isBad = problems.some(({ severity }) => strict || severity === 'error')
      if (json) {
        print(`${JSON.stringify({ file, app: app ?? null, valid: !isBad, problems })}\n`)
      } else {
        const paint = painter()
        for (const problem of problems) {
          print(`${paint(strict ? 'error' : problem.severity)}: ${problemText(problem)}\n`)
        }
        if (!isBad) print(`${file} is valid${app === undefined ? '' : ` (app ${app})`}\n`)
      }
      if (isBad) process.exitCode = 1
    })
    .addHelpText(
      'after',
      `
Examples:
  $ godwit config validate
  $ godwit config validate --strict -c production/fly.toml
  $ godwit config validate --json | jq '.problems[] | select(.severity == "error")'`,
    )
}

interface Choices {
  strict?: boolean
  json?: boolean
  toml?: boolean
  yaml?: boolean
  group?: string
  local?: boolean
}

function showCommand(print: Print): Command {
  const command = new Command('show')
    .summary('print that of the release that runs, or the file')
    .description(
      'Prints the configuration of the release that runs. With --local, --config or --group that of the file, in the form that ' +
        'a release keeps: older ways to write it are brought into the present one, unknown keys are left out.',
    )
    .addOption(appOption())
    .option(...CONFIG_OPTION)
    .option('--local', 'the file that is here, not the release; asks no server')
    .option('--toml', 'print TOML')
    .option('--yaml', 'print YAML')
    .option('--json', 'print JSON (the default)')
    .option('--group <name>', 'the machine configuration of a process group of the file, as JSON')
  return withConnection(command)
    .action(async (options: Where & Choices & ReleaseOptions) => {
      const { config, local = false, toml, yaml, group } = options
      const isFile = local || config !== undefined || group !== undefined
      const app = isFile ? await fileConfig(config) : (await releaseConfig(options)).config
      if (group !== undefined) {
        const { groupMachine } = await import('#app-config')
        const { localFiles } = await import('./local-files.ts')
        const { file } = await readConfig(config)
        const machine = groupMachine(app, group, { readLocalFile: localFiles(file) })
        return print(`${JSON.stringify(machine.config, null, 2)}\n`)
      }
      if (toml) return print(`${(await import('smol-toml')).stringify(app)}\n`)
      if (yaml) return print((await import('yaml')).stringify(app))
      print(`${JSON.stringify(app, null, 2)}\n`)
    })
    .addHelpText(
      'after',
      `
Examples:
  $ godwit config show -a web
  $ godwit config show --local --toml > fly.new.toml
  $ godwit config show --group web | jq .services`,
    )
}

async function fileConfig(path: string | undefined) {
  const { deployable } = await import('#app-config')
  return deployable(await readConfig(path))
}

function envCommand(print: Print): Command {
  return new Command('env')
    .summary('print the environment that it sets')
    .description('Prints the environment of `[env]`. Secrets are not in the file, and not shown.')
    .option(...CONFIG_OPTION)
    .option('--json', 'print JSON')
    .action(async ({ config, json = false }: Where & Choices) => {
      const { deployable } = await import('#app-config')
      const { env = {} } = deployable(await readConfig(config))
      if (json) return print(`${JSON.stringify(env)}\n`)
      print(renderTable([['NAME', 'VALUE'], ...Object.entries(env)]))
    })
    .addHelpText('after', '\nExample:\n  $ godwit config env --json')
}

function keysCommand(print: Print): Command {
  const summary = 'print every section and key, as Markdown'
  return new Command('keys')
    .summary(summary)
    .description(summary)
    .action(async () => print((await import('#app-config')).configReference()))
    .addHelpText('after', '\nExample:\n  $ godwit config keys | less')
}

async function readConfig(path: string | undefined) {
  const { AppConfigError, findConfig, namedConfig, readAppConfig } = await import('#app-config')
  const file = path === undefined ? findConfig('.') : namedConfig(path)
  if (file === undefined || !existsSync(file)) {
    throw new AppConfigError('app_config.not_found', {
      what: 'there is no fly.toml, fly.json or fly.yaml in this folder',
      fix: 'go to the folder of the app, or name the file with --config',
    })
  }
  return readAppConfig(file)
}

function painter(): (severity: string) => string {
  if (!wantsColour(process.stdout)) return (severity) => severity
  return (severity) => `\x1b[${severity === 'error' ? 31 : 33}m${severity}\x1b[0m`
}
