import { Command } from 'commander'
import { createLog } from '#base'
import type { Explanation } from '#dns'
import { renderTable } from './table.ts'

const CONFIG_FILE = '/etc/godwit/dns.toml'
const ADMIN_SOCKET = '/run/godwit/dns.sock'

/** `godwit dns`: names of the private network, and the public zone. */
export function dnsCommand(
  print: (text: string) => void = (text) => void process.stdout.write(text),
): Command {
  return new Command('dns')
    .summary('names of the private network')
    .description('The resolver of machines and peers; docs/dns.md lists the names.')
    .addCommand(runCommand())
    .addCommand(queryCommand(print))
}

function runCommand(): Command {
  return new Command('run')
    .summary('answer names until told to stop')
    .description('Answers names in the foreground. SIGTERM and SIGINT end it.')
    .option('-c, --config <file>', 'the configuration file', CONFIG_FILE)
    .action(async ({ config }: { config: string }) => {
      const { loadDnsConfig, openDns } = await import('#dns')
      const log = createLog({ part: 'dns' })
      const stop = new Promise<void>((resolve) => {
        process.once('SIGTERM', () => resolve()).once('SIGINT', () => resolve())
      })
      await using _running = await openDns(loadDnsConfig(config), { log })
      await stop
    })
    .addHelpText('after', '\nExample:\n  $ godwit dns run --config dns.toml')
}

function queryCommand(print: (text: string) => void): Command {
  return new Command('query')
    .summary('what this host answers, and why')
    .description(
      'Asks the resolver of this host what it answers to a name and by which rule. Public names are not asked of ' +
        'the upstreams.',
    )
    .argument('<name>', 'such as web.internal')
    .option(
      '--as <address>',
      'ask as the machine or peer of that 6PN address; without: as the public',
    )
    .option('--type <type>', 'the record type', 'AAAA')
    .option('--admin <socket>', "the resolver's admin socket", ADMIN_SOCKET)
    .option('--json', 'print JSON')
    .action(async (name: string, options: QueryOptions) => {
      const { askAdmin } = await import('#dns')
      const { admin, type, as } = options
      const answer = await askAdmin(admin, { name, type, as })
      print(options.json === true ? `${JSON.stringify(answer, null, 2)}\n` : textOf(answer))
    })
    .addHelpText(
      'after',
      `
Examples:
  $ godwit dns query web.internal --as fdaa:2:45b:a7b:174:1:1:2
  $ godwit dns query vms.web.internal --type TXT --as fdaa:2:45b:a7b:174:1:1:2 --json | jq .why`,
    )
}

interface QueryOptions {
  readonly as?: string
  readonly type: string
  readonly admin: string
  readonly json?: true
}

function textOf({ name, type, rcode, why, records }: Explanation): string {
  const rows = records.map((record) => [record.type, `${record.ttl_seconds} s`, record.data])
  return `${name} ${type}: ${rcode}, ${why}\n${renderTable(rows)}`
}
