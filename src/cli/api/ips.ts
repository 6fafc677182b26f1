import { Command } from 'commander'
import type { IpKind } from '#flaps-client'
import { renderTable } from '../table.ts'
import { type AppCommandOptions, appCommand, withApp } from './app-command.ts'
import { type Print, printOut } from './connection.ts'
import { ago } from './machine-table.ts'

/** `godwit ips`: addresses of an app. */
export function ipsCommand(print: Print = printOut): Command {
  return new Command('ips')
    .summary('addresses of an app')
    .addCommand(
      appCommand('list', 'show the addresses of an app', ['ips list -a web']).action(
        (options: AppCommandOptions) =>
          withApp(options, async ({ client, app }) => {
            const ips = await client.ips(app)
            if (options.json) return print(`${JSON.stringify(ips)}\n`)
            if (ips.length === 0) return print(`${app} has no addresses\n`)
            const rows = ips.map(({ ip, shared, region, created_at: created }) => [
              ip,
              shared ? 'shared' : 'own',
              region,
              ago(created),
            ])
            print(renderTable([['ADDRESS', 'KIND', 'REGION', 'SINCE'], ...rows]))
          }),
      ),
    )
    .addCommand(
      allocate(
        'allocate-v4',
        'give an app an IPv4 address',
        (options) => (options.shared ? 'shared_v4' : 'v4'),
        print,
      ).option('--shared', 'one that it shares with other apps'),
    )
    .addCommand(
      allocate(
        'allocate-v6',
        'give an app an IPv6 address',
        (options) => (options.private ? 'private_v6' : 'v6'),
        print,
      ).option('--private', 'one that only its organisation reaches'),
    )
    .addCommand(
      appCommand('release', 'take an address away', ['ips release 203.0.113.7 -a web'])
        .argument('<address...>')
        .action((addresses: string[], options: AppCommandOptions) =>
          withApp(options, async ({ client, app }) => {
            for (const address of addresses) {
              await client.releaseIp(app, address)
              if (!options.json) print(`${address} is released\n`)
            }
            if (options.json) print(`${JSON.stringify(addresses)}\n`)
          }),
        ),
    )
}

interface AllocateOptions extends AppCommandOptions {
  readonly shared?: boolean
  readonly private?: boolean
}

const allocate = (
  name: string,
  summary: string,
  kindOf: (options: AllocateOptions) => IpKind,
  print: Print,
): Command =>
  appCommand(name, summary, [`ips ${name} -a web`]).action((options: AllocateOptions) =>
    withApp(options, async ({ client, app }) => {
      const given = await client.assignIp(app, kindOf(options))
      print(options.json ? `${JSON.stringify(given)}\n` : `${given.ip}\n`)
    }),
  )
