import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import type { Certificate } from '#flaps-client'
import { renderTable } from '../table.ts'
import { type AppCommandOptions, appCommand, withApp } from './app-command.ts'
import { confirmed } from './confirm.ts'
import { type Print, printOut } from './connection.ts'
import { ApiInputError } from './input-error.ts'
import { ago } from './machine-table.ts'

/** `godwit certs`: host names of an app's own, and their certificates. */
export function certsCommand(print: Print = printOut): Command {
  return new Command('certs')
    .summary("an app's own host names and their certificates")
    .addCommand(
      appCommand('list', "show an app's own host names", ['certs list -a web'])
        .alias('ls')
        .action((options: AppCommandOptions) =>
          withApp(options, async ({ client, app }) => {
            const all = await client.certificates(app).list()
            if (options.json) return print(`${JSON.stringify(all)}\n`)
            if (all.length === 0) {
              return print(`${app} has no host names of its own\nnext: godwit certs add NAME\n`)
            }
            const rows = all.map(({ hostname, status, created_at: created }) => [
              hostname,
              status.replaceAll('_', ' '),
              ago(created),
            ])
            print(renderTable([['HOST NAME', 'STATUS', 'ADDED'], ...rows]))
          }),
        ),
    )
    .addCommand(
      oneName('add', 'serve the app under a host name, with a certificate that is got for it', {
        aliases: ['create'],
        print,
        act: ({ client, app }, name) => client.certificates(app).add(name),
      }),
    )
    .addCommand(
      appCommand('import', 'serve a host name with a certificate that you bring', [
        'certs import www.example.com --fullchain chain.pem --private-key key.pem -a web',
      ])
        .argument('<name>')
        .requiredOption('--fullchain <file>', 'PEM: the certificate, then who signed it')
        .requiredOption('--private-key <file>', 'PEM, without a passphrase; RSA or ECDSA')
        .action((name: string, options: AppCommandOptions & ImportOptions) =>
          withApp(options, async ({ client, app }) => {
            const fullchain = readPem(options.fullchain)
            const privateKey = readPem(options.privateKey)
            const made = await client.certificates(app).import(name, { fullchain, privateKey })
            print(options.json ? `${JSON.stringify(made)}\n` : describe(made))
          }),
        ),
    )
    .addCommand(
      oneName('check', 'look at a host name: its DNS now, its certificates', {
        aliases: ['show'],
        print,
        act: ({ client, app }, name) => client.certificates(app).check(name),
      }),
    )
    .addCommand(
      appCommand('remove', 'give host names up, with their certificates', [
        'certs remove www.example.com -a web --yes',
      ])
        .alias('delete')
        .argument('<name...>')
        .option('-y, --yes', 'do not ask')
        .addOption(
          new Option('--only <kind>', 'keep the name, and the other kind of certificate').choices([
            'custom',
            'acme',
          ]),
        )
        .action((names: string[], options: AppCommandOptions & RemoveOptions) =>
          withApp(options, async ({ client, app }) => {
            const { only } = options
            const what =
              only === undefined
                ? `serve ${app} under ${names.join(', ')} no more?`
                : `remove the ${only} certificate of ${names.join(', ')}?`
            await confirmed(what, options.yes === true)
            if (only !== undefined) {
              const left = await Promise.all(
                names.map((name) => client.certificates(app).removeOne(name, only)),
              )
              return print(
                options.json ? `${JSON.stringify(left)}\n` : left.map(describe).join('\n'),
              )
            }
            for (const name of names) {
              await client.certificates(app).remove(name)
              if (!options.json) print(`${name} is removed\n`)
            }
            if (options.json) print(`${JSON.stringify(names)}\n`)
          }),
        ),
    )
}

interface ImportOptions {
  readonly fullchain: string
  readonly privateKey: string
}

interface RemoveOptions {
  readonly yes?: boolean
  readonly only?: 'custom' | 'acme'
}

/** @throws ApiInputError cli.file_unreadable */
function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new ApiInputError('cli.file_unreadable', {
      what: 'cannot read the file',
      values: { file },
      fix: 'name a PEM file that you may read',
      cause,
    })
  }
}

interface OneName {
  readonly aliases: readonly string[]
  readonly print: Print
  readonly act: (
    session: Parameters<Parameters<typeof withApp>[1]>[0],
    name: string,
  ) => Promise<Certificate>
}

function oneName(verb: string, summary: string, { aliases, print, act }: OneName): Command {
  return appCommand(verb, summary, [`certs ${verb} www.example.com -a web`])
    .aliases([...aliases])
    .argument('<name>')
    .action((name: string, options: AppCommandOptions) =>
      withApp(options, async (session) => {
        const certificate = await act(session, name)
        print(options.json ? `${JSON.stringify(certificate)}\n` : describe(certificate))
      }),
    )
}

/** What there is, and what is to be done about what is not. */
function describe(one: Certificate): string {
  const { hostname, status, configured = false, certificates = [], warning } = one
  const { validation_errors: problems = [] } = one
  const facts = renderTable([
    ['Host name', hostname],
    ['Status', status.replaceAll('_', ' ')],
    ['DNS', configured ? 'leads here' : 'does not lead here'],
    ...certificates.map(({ source, issuer, expires_at: end }) => [
      source === 'custom' ? 'Own certificate' : 'Certificate',
      `${issuer}, until ${end}`,
    ]),
    ...problems.map(({ message, remediation }) => ['Warning', `${message}: ${remediation}`]),
    ...(warning === undefined ? [] : [['Warning', warning]]),
  ])
  return configured ? facts : `${facts}\n${todo(one)}`
}

function todo({ hostname, dns_requirements: wanted, dns_records: seen }: Certificate): string {
  const { a = [], aaaa = [] } = wanted ?? {}
  const found = seen?.resolved_addresses ?? []
  if (a.length + aaaa.length === 0) {
    return 'next: give the app an address (godwit ips allocate-v6), then point DNS at it\n'
  }
  return [
    found.length > 0 ? `DNS says ${found.join(', ')} now\n` : '',
    'next: write into DNS, and wait; the certificate comes by itself\n',
    ...a.map((ip) => `  ${hostname}.  A     ${ip}\n`),
    ...aaaa.map((ip) => `  ${hostname}.  AAAA  ${ip}\n`),
  ].join('')
}
