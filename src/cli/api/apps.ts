import { Command, Option } from 'commander'
import type { App } from '#flaps-client'
import { renderTable } from '../table.ts'
import { openCommand } from './app-open.ts'
import { releasesCommand } from './app-overview.ts'
import { appRestartCommand } from './app-restart.ts'
import {
  type ConnectionOptions,
  connect,
  type Print,
  printOut,
  withConnection,
} from './connection.ts'
import { ApiInputError } from './input-error.ts'
import { organizationOf, organizationOption } from './organization-option.ts'

interface AppsOptions extends ConnectionOptions {
  readonly json?: boolean
}

/** `godwit apps`. */
export function appsCommand(print: Print = printOut): Command {
  return new Command('apps')
    .summary('the apps of an organisation')
    .addCommand(
      onApi('list', 'show the apps of an organisation', 'apps list --org acme')
        .alias('ls')
        .addOption(organizationOption())
        .action(async ({ org: named, ...options }: AppsOptions & { org?: string }) => {
          using client = await connect(options)
          const org = await organizationOf(client, named)
          const apps = await client.apps(org)
          if (options.json) return print(`${JSON.stringify(apps)}\n`)
          if (apps.length > 0) return print(appTable(apps))
          print(`${org} has no apps\nnext: godwit apps create NAME --org ${org}\n`)
        }),
    )
    .addCommand(
      onApi('create', 'make an app', 'apps create web --org acme')
        .argument('[name]')
        .addOption(new Option('-n, --name <name>', 'the same').hideHelp())
        .addOption(new Option('-y, --yes', 'nothing is asked').hideHelp())
        .addOption(organizationOption())
        .option('--network <name>', 'a private network of its own, which the other apps are not in')
        .action(
          async (
            given: string | undefined,
            {
              org: named,
              network,
              ...options
            }: AppsOptions & { org?: string; network?: string; name?: string },
          ) => {
            const name = given ?? options.name
            if (name === undefined) throw noName()
            using client = await connect(options)
            const org = await organizationOf(client, named)
            const app = await client.createApp(name, org, network)
            if (options.json) return print(`${JSON.stringify(app)}\n`)
            print(`${name} is made\nnext: godwit deploy --image IMAGE, where its fly.toml is\n`)
          },
        ),
    )
    .addCommand(appRestartCommand(print))
    .addCommand(openCommand(print))
    .addCommand(releasesCommand(print))
    .addCommand(
      onApi(
        'destroy',
        'destroy apps with their machines, volumes and addresses',
        'apps destroy web',
      )
        .argument('<name...>')
        .option('-y, --yes', 'do not ask')
        .action(async (names: string[], { yes, ...options }: AppsOptions & { yes?: boolean }) => {
          const { confirmed } = await import('./confirm.ts')
          await confirmed(`destroy ${names.join(', ')} and all that is theirs?`, yes === true)
          using client = await connect(options)
          for (const name of names) {
            await client.destroyApp(name)
            if (!options.json) print(`${name} is destroyed\n`)
          }
          if (options.json) print(`${JSON.stringify(names)}\n`)
        }),
    )
}

const onApi = (name: string, summary: string, example: string) =>
  withConnection(
    new Command(name)
      .summary(summary)
      .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
      .option('-j, --json', 'print JSON'),
  ).addHelpText('after', `\nExample:\n  $ godwit ${example}`)

const appTable = (apps: readonly App[]) =>
  renderTable([
    ['NAME', 'STATUS', 'MACHINES', 'VOLUMES', 'NETWORK'],
    ...apps.map((app) => [
      app.name,
      app.status,
      `${app.machine_count ?? 0}`,
      `${app.volume_count ?? 0}`,
      app.network ?? '',
    ]),
  ])

const noName = () =>
  new ApiInputError('cli.bad_value', {
    what: 'what is the app to be called?',
    fix: 'give its name, as in `godwit apps create web --org acme`',
  })
