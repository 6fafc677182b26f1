import { Command } from 'commander'
import type { AuditEntry } from '#accounts'
import { parseDurationMs } from '#base'
import {
  addSealingKey,
  initAccounts,
  operatorCall,
  showTime,
  withAccounts,
} from './accounts-folder.ts'
import { confirmLoginCommand, loginsCommand } from './members.ts'
import { jsonLine, onAccounts } from './on-accounts.ts'
import { renderTable } from './table.ts'

type Print = (text: string) => void

interface Common {
  readonly accounts: string
  readonly json?: true
}

const printOut: Print = (text) => void process.stdout.write(text)

/** `godwit accounts`: the database behind organisations, apps and tokens. */
export function accountsCommand(print: Print = printOut): Command {
  return new Command('accounts')
    .summary('the database of organisations, apps, secrets and tokens')
    .addCommand(
      onAccounts('init', 'make the database and the key ring', 'accounts init').action(
        ({ accounts: folder, json }: Common) => {
          initAccounts(folder)
          const next = 'godwit orgs create <slug>'
          print(json ? jsonLine({ folder, next }) : `made ${folder}\nnext: ${next}\n`)
        },
      ),
    )
    .addCommand(auditCommand(print))
    .addCommand(accountAppsCommand(print))
    .addCommand(loginsCommand(print))
    .addCommand(confirmLoginCommand(print))
    .addCommand(
      onAccounts(
        'reseal',
        'seal everything anew with a new key; the old one may leave the key ring then',
        'accounts reseal',
      ).action(({ accounts: folder, json }: Common) => {
        const key = addSealingKey(folder)
        const values = withAccounts(folder, (accounts) => accounts.reseal(operatorCall(), {}))
        print(
          json ? jsonLine({ key, values }) : `${values} values are sealed with key ${key} now\n`,
        )
      }),
    )
}

interface AuditOptions extends Common {
  readonly org?: string
  readonly app?: string
  readonly who?: string
  readonly since?: string
  readonly limit: string
}

function auditCommand(print: Print): Command {
  return onAccounts(
    'audit',
    'who changed what; says so when the log was tampered with',
    'accounts audit --org acme --since 24h',
  )
    .option('--org <slug>', 'calls that named this organisation')
    .option('--app <name>', 'calls that named this app')
    .option('--who <who>', 'calls of this caller')
    .option('--since <duration>', 'not older than this')
    .option('--limit <count>', 'the newest ones', '100')
    .action((options: AuditOptions) => {
      const { org, app, who, since, json } = options
      withAccounts(options.accounts, (accounts) => {
        const damage = accounts.auditDamage()
        const entries = accounts.audit({
          ...(org === undefined ? {} : { organization: org }),
          ...(app === undefined ? {} : { app }),
          ...(who === undefined ? {} : { who }),
          ...(since === undefined ? {} : { sinceMs: Date.now() - parseDurationMs(since) }),
          limit: Number(options.limit) || 0,
        })
        if (json) return print(jsonLine({ damagedAt: damage ?? null, entries }))
        print(auditTable(entries))
        if (damage !== undefined) print(`warning: entry ${damage} is not what was written\n`)
      })
    })
}

const auditTable = (entries: readonly AuditEntry[]) =>
  renderTable([
    ['TIME', 'WHO', 'OPERATION', 'TARGET', 'RESULT'],
    ...entries.map((entry) => [
      showTime(entry.atMs),
      JSON.stringify(entry.who).slice(1, -1),
      entry.operation,
      JSON.stringify(entry.target),
      entry.result,
    ]),
  ])

/** `godwit accounts apps`: for an operator without a token; `godwit apps` asks the API. */
function accountAppsCommand(print: Print): Command {
  return new Command('apps')
    .summary('apps, without asking the API')
    .addCommand(
      onAccounts('create', 'make an app', 'accounts apps create web --org acme')
        .argument('<name>')
        .requiredOption('--org <slug>', 'whose it is')
        .action((app: string, { accounts: folder, org, json }: Common & { org: string }) => {
          const made = withAccounts(folder, (accounts) =>
            accounts.createApp(operatorCall(), { organization: org, app }),
          )
          print(json ? jsonLine(made) : `made ${made.name}, id ${made.id}\n`)
        }),
    )
    .addCommand(
      onAccounts('list', 'show the apps of an organisation', 'accounts apps list --org acme')
        .requiredOption('--org <slug>', 'whose apps')
        .action(({ accounts: folder, org, json }: Common & { org: string }) => {
          const apps = withAccounts(folder, (accounts) => accounts.apps(org))
          if (json) return print(jsonLine(apps))
          const rows = apps.map(({ id, name, network }) => [String(id), name, network])
          print(renderTable([['ID', 'NAME', 'NETWORK'], ...rows]))
        }),
    )
}
