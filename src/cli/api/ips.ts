import { Command, Option } from 'commander'
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
            const ips = await client.addresses(app).list()
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
      )
        .option('--private', 'one that only its organisation reaches (flycast)')
        .option('--network <name>', 'with --private: which network; default: of the organisation')
        .option('-o, --org <slug>', 'with --private: whose network; default: of the app'),
    )
    .addCommand(allocateBoth(print))
    .addCommand(privateCommand(print))
    .addCommand(
      appCommand('release', 'take an address away', ['ips release 203.0.113.7 -a web'])
        .argument('<address...>')
        .action((addresses: string[], options: AppCommandOptions) =>
          withApp(options, async ({ client, app }) => {
            for (const address of addresses) {
              await client.addresses(app).release(address)
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
  readonly network?: string
  readonly org?: string
}

const allocate = (
  name: string,
  summary: string,
  kindOf: (options: AllocateOptions) => IpKind,
  print: Print,
): Command =>
  appCommand(name, summary, [`ips ${name} -a web`])
    .addOption(new Option('-y, --yes', 'nothing is asked').hideHelp())
    .action((options: AllocateOptions) =>
      withApp(options, async ({ client, app }) => {
        const { network, org } = options
        const given = await client.addresses(app).assign({
          type: kindOf(options),
          ...(network === undefined ? {} : { network }),
          ...(org === undefined ? {} : { org_slug: org }),
        })
        print(options.json ? `${JSON.stringify(given)}\n` : `${given.ip}\n`)
      }),
    )

const allocateBoth = (print: Print): Command =>
  appCommand('allocate', 'give an app what it needs to be reached: an IPv6 and the shared IPv4', [
    'ips allocate -a web',
  ]).action((options: AppCommandOptions) =>
    withApp(options, async ({ client, app }) => {
      const have = (await client.addresses(app).list())
        .map(({ ip }) => ip)
        .filter((ip) => !isPrivate(ip))
      const given = []
      if (!have.some((ip) => ip.includes(':'))) given.push(await client.addresses(app).assign('v6'))
      if (!have.some((ip) => ip.includes('.')))
        given.push(await client.addresses(app).assign('shared_v4'))
      if (options.json) return print(`${JSON.stringify(given)}\n`)
      if (given.length === 0) return print(`${app} has both already: ${have.join(' ')}\n`)
      print(given.map(({ ip }) => `${ip}\n`).join(''))
    }),
  )

/** Of the private network: RFC 4193. */
const isPrivate = (ip: string) => /^f[cd]/i.test(ip)

const privateCommand = (print: Print): Command =>
  appCommand('private', "show the private addresses of an app's machines", [
    'ips private -a web',
  ]).action((options: AppCommandOptions) =>
    withApp(options, async ({ machines, app }) => {
      const all = (await machines.list()).filter(({ state }) => state !== 'destroyed')
      const rows = all.map(({ id, region, private_ip: ip }) => ({ id, region, ip }))
      if (options.json) return print(`${JSON.stringify(rows)}\n`)
      if (rows.length === 0) return print(`${app} has no machines\nnext: godwit deploy\n`)
      const cells = rows.map(({ id, region, ip }) => [id, region, ip])
      print(renderTable([['MACHINE', 'REGION', 'ADDRESS'], ...cells]))
    }),
  )
