import { Command, Option } from 'commander'
import type { NetworkPolicy, NetworkPolicyRule } from '#flaps-client'
import { renderTable } from '../table.ts'
import { type AppCommandOptions, type AppSession, appCommand, withApp } from './app-command.ts'
import { confirmed } from './confirm.ts'
import { type Print, printOut } from './connection.ts'
import { ApiInputError } from './input-error.ts'

const NEXT = 'machines have it from their next start on: godwit machine restart ID\n'

/** `godwit network-policies`: what an app's machines may be reached by, and may reach. */
export function networkPoliciesCommand(print: Print = printOut): Command {
  return new Command('network-policies')
    .summary("what an app's machines may be reached by, and may reach")
    .addCommand(
      appCommand('list', "show an app's network policies", ['network-policies list -a web'])
        .alias('ls')
        .action((options: AppCommandOptions) =>
          withApp(options, async ({ client, app }) => {
            const policies = await client.networkPolicies(app).list()
            if (options.json) return print(`${JSON.stringify(policies)}\n`)
            if (policies.length === 0) return print(`${app} has no network policies\n`)
            print(
              renderTable([
                ['NAME', 'MACHINES', 'INGRESS', 'EGRESS', 'ID'],
                ...policies.map(rowOf),
              ]),
            )
          }),
        ),
    )
    .addCommand(
      appCommand('set', 'make a network policy, in place of one that has the name', [
        'network-policies set web-only --egress tcp/443,tcp/80 -a web',
        'network-policies set no-egress --egress none --metadata role=sandbox -a web',
        'network-policies set db --ingress tcp/5432 --machine 148ed599c14189 -a web',
      ])
        .argument('<name>')
        .addOption(ports('--ingress <ports>', 'what the machines may be reached by'))
        .addOption(ports('--egress <ports>', 'what the machines may reach'))
        .addOption(
          new Option('--machine <id>', 'for this machine; repeatable')
            .default([] as string[], 'every machine of the app')
            .argParser((id: string, before: string[]) => [...before, id]),
        )
        .addOption(
          new Option('--metadata <key=value>', 'for machines that have it; repeatable')
            .default({} as Record<string, string>, 'any')
            .argParser(withPair),
        )
        .action((name: string, options: AppCommandOptions & SetOptions) =>
          withApp(options, async ({ client, app }) => {
            const content = { name, selector: selectorOf(options), rules: rulesOf(options) }
            const former = (await client.networkPolicies(app).list()).find(
              (one) => one.name === name,
            )
            const id = former === undefined ? {} : { id: former.id }
            const put = await client.networkPolicies(app).put({ ...content, ...id })
            if (options.json) return print(`${JSON.stringify(put)}\n`)
            print(`${name} is ${former === undefined ? 'made' : 'changed'}; ${NEXT}`)
          }),
        ),
    )
    .addCommand(
      appCommand('delete', 'take network policies away', [
        'network-policies delete web-only -a web --yes',
      ])
        .aliases(['remove', 'rm'])
        .argument('<name...>', 'or ids')
        .option('-y, --yes', 'do not ask')
        .action((names: string[], options: AppCommandOptions & { yes?: boolean }) =>
          withApp(options, async (session) => {
            const ids = await idsOf(session, names)
            await confirmed(`open what ${names.join(', ')} closed?`, options.yes === true)
            for (const id of ids) await session.client.networkPolicies(session.app).remove(id)
            if (options.json) return print(`${JSON.stringify(ids)}\n`)
            print(`${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} deleted; ${NEXT}`)
          }),
        ),
    )
}

interface SetOptions {
  readonly ingress?: NetworkPolicyRule['ports']
  readonly egress?: NetworkPolicyRule['ports']
  readonly machine: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
}

const ports = (flags: string, about: string) =>
  new Option(flags, `${about}: PROTOCOL/PORT with commas between, or none`).argParser(parsePorts)

/** @throws ApiInputError cli.bad_value */
export function parsePorts(text: string): NetworkPolicyRule['ports'] {
  if (text === 'none') return []
  return text.split(',').map((one) => {
    const [, protocol, digits = ''] = /^(tcp|udp)\/(\d{1,5})$/.exec(one.trim()) ?? []
    const port = Number(digits)
    if (protocol !== undefined && port >= 1 && port <= 65_535) {
      return { protocol: protocol as 'tcp' | 'udp', port }
    }
    throw new ApiInputError('cli.bad_value', {
      what: 'not a port of a protocol',
      values: { value: one },
      fix: 'write tcp/443, or several as tcp/443,udp/53, or none',
    })
  })
}

function withPair(text: string, before: Record<string, string>): Record<string, string> {
  const at = text.indexOf('=')
  if (at > 0) return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
  throw new ApiInputError('cli.bad_value', {
    what: 'not a key and a value',
    values: { value: text },
    fix: 'write one like role=web',
  })
}

function selectorOf({ machine, metadata }: SetOptions): NetworkPolicy['selector'] {
  const hasMetadata = Object.keys(metadata).length > 0
  if (machine.length === 0 && !hasMetadata) return { all: true }
  return {
    ...(machine.length === 0 ? {} : { machines: machine.map((id) => ({ id })) }),
    ...(hasMetadata ? { metadata } : {}),
  }
}

/** @throws ApiInputError cli.bad_value: neither direction is given */
function rulesOf({ ingress, egress }: SetOptions): NetworkPolicyRule[] {
  const rules: NetworkPolicyRule[] = []
  if (ingress !== undefined) rules.push({ action: 'allow', direction: 'ingress', ports: ingress })
  if (egress !== undefined) rules.push({ action: 'allow', direction: 'egress', ports: egress })
  if (rules.length > 0) return rules
  throw new ApiInputError('cli.bad_value', {
    what: 'a policy that says nothing',
    values: {},
    fix: 'give it --ingress, --egress or both',
  })
}

/** @throws ApiInputError cli.bad_value: the app has none of that name */
async function idsOf({ client, app }: AppSession, names: readonly string[]): Promise<string[]> {
  const policies = await client.networkPolicies(app).list()
  return names.map((name) => {
    const found = policies.find((one) => one.name === name || one.id === name)
    if (found !== undefined) return found.id
    throw new ApiInputError('cli.bad_value', {
      what: 'the app has no such network policy',
      values: { app, name },
      fix: `see which there are: godwit network-policies list -a ${app}`,
    })
  })
}

function rowOf({ id, name, selector, rules }: NetworkPolicy): string[] {
  const { machines = [], metadata = {} } = selector
  const named = [
    ...machines.map((one) => one.id),
    ...Object.entries(metadata).map(([key, value]) => `${key}=${value}`),
  ]
  const inDirection = (direction: NetworkPolicyRule['direction']) => {
    const own = rules.filter((rule) => rule.direction === direction)
    if (own.length === 0) return 'open'
    const opened = own.flatMap((rule) =>
      rule.ports.map(({ protocol, port }) => `${protocol}/${port}`),
    )
    return opened.length === 0 ? 'none' : opened.join(' ')
  }
  return [name, named.join(' ') || 'all', inDirection('ingress'), inDirection('egress'), id]
}
