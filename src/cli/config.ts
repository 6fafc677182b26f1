import { existsSync } from 'node:fs'
import { Command } from 'commander'
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
}

function showCommand(print: Print): Command {
  return new Command('show')
    .summary('print it in canonical form')
    .description(
      'Prints the configuration in the form that a release keeps: older ways to write it are brought into ' +
        'the present one, unknown keys are left out. With --group, what it means for the machines of that process group.',
    )
    .option(...CONFIG_OPTION)
    .option('--toml', 'print TOML')
    .option('--yaml', 'print YAML')
    .option('--json', 'print JSON (the default)')
    .option('--group <name>', 'the machine configuration of a process group, as JSON')
    .action(async ({ config, toml, yaml, group }: Where & Choices) => {
      const { deployable, groupMachine } = await import('#app-config')
      const found = await readConfig(config)
      const app = deployable(found)
      if (group !== undefined) {
        const { localFiles } = await import('./local-files.ts')
        const machine = groupMachine(app, group, { readLocalFile: localFiles(found.file) })
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
  $ godwit config show
  $ godwit config show --toml > fly.new.toml
  $ godwit config show --group web | jq .services`,
    )
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
