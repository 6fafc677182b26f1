import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import type { JoinToken } from '#accounts'
import { parseDurationMs } from '#base'
import { operatorCall, showTime, withAccounts } from './accounts-folder.ts'
import { installUnit, type Systemctl } from './install.ts'
import { renderTable } from './table.ts'

type Print = (text: string) => void

const CONFIG_FILE = '/var/lib/godwit/host.toml'
const JOIN_MS = 120_000

interface Common {
  readonly config: string
  readonly json?: true
}

const onGateway = (name: string, summary: string) =>
  new Command(name)
    .summary(summary)
    .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}. At a gateway of the cluster.`)
    .option('-c, --config <file>', "the gateway's file", CONFIG_FILE)
    .option('--json', 'print JSON')

/** `godwit host token`: with which servers join the cluster. */
export function hostTokenCommand(print: Print): Command {
  return new Command('token')
    .summary('tokens with which servers join the cluster')
    .addCommand(createCommand(print))
    .addCommand(listCommand(print))
    .addCommand(revokeCommand(print))
}

interface CreateOptions extends Common {
  readonly role: readonly string[]
  readonly region: string
  readonly ttl: number
  readonly name?: string
  readonly address?: string
  readonly replace?: true
  readonly uses: number
}

function createCommand(print: Print): Command {
  return onGateway('create', 'make a token with which a server joins')
    .requiredOption('--role <role...>', 'worker, edge, or both')
    .requiredOption('--region <code>', 'where the server stands')
    .option('--ttl <duration>', 'how long it may be used; at most 7d', milliseconds, 3_600_000)
    .option('--uses <n>', 'how many servers may join with it', Number, 1)
    .option('--name <host>', 'the name that the host must have')
    .option('--address <ip>', 'its address, where the gateway sees it under another; needs --name')
    .option('--replace', 'it takes the name of a host that is dead; needs --name')
    .action(async (options: CreateOptions) => {
      const { accounts, ca, url, formatJoinToken, caFingerprint } = await gateway(options.config)
      const { loadHostConfig, requireJoiningKey } = await import('#host')
      requireJoiningKey(loadHostConfig(options.config))
      const { role: roles, region, ttl: ttlMs, uses: usesMax, name: host, address: ip } = options
      const input = { roles, region, ttlMs, usesMax, host, ip, replaces: options.replace === true }
      const made = withAccounts(accounts, (open) => open.createJoinToken(operatorCall(), input))
      const token = formatJoinToken({ ...made, ca: caFingerprint(ca) })
      if (options.json) {
        const { secret: _, ...shown } = made
        return print(`${JSON.stringify({ ...shown, token, url })}\n`)
      }
      print(`${token}\n`)
      print(
        `good until ${showTime(made.expiresAtMs)}; whoever has it may join, so keep it secret\n`,
      )
      const named = host === undefined ? '' : ` --name ${host}`
      print(`next, on the server: GODWIT_JOIN_TOKEN=... godwit host join ${url}${named}\n`)
    })
    .addHelpText('after', `\nExample:\n  $ godwit host token create --role worker --region nrt`)
}

function listCommand(print: Print): Command {
  return onGateway('list', 'tokens with which servers join, used ones too')
    .action(async ({ config, json }: Common) => {
      const { accounts } = await gateway(config)
      const tokens = withAccounts(accounts, (open) => open.joinTokens())
      if (json) return print(`${JSON.stringify(tokens)}\n`)
      const rows = tokens.map((one) => [
        ...[one.id, one.roles.join(' '), one.region, one.host ?? 'any'],
        ...[`${one.uses}/${one.usesMax}`, stateOf(one), showTime(one.expiresAtMs), one.createdBy],
      ])
      const head = ['ID', 'ROLES', 'REGION', 'HOST', 'USED', 'STATE', 'UNTIL', 'BY']
      print(renderTable([head, ...rows]))
    })
    .addHelpText('after', `\nExample:\n  $ godwit host token list`)
}

function stateOf({ revokedAtMs, expiresAtMs, uses, usesMax }: JoinToken): string {
  if (revokedAtMs !== undefined) return 'revoked'
  if (Date.now() >= expiresAtMs) return 'expired'
  return uses >= usesMax ? 'used' : 'good'
}

function revokeCommand(print: Print): Command {
  return onGateway('revoke', 'let nobody join with a token any more')
    .argument('<id>', 'as `godwit host token list` shows it')
    .action(async (id: string, { config, json }: Common) => {
      const { accounts } = await gateway(config)
      withAccounts(accounts, (open) => open.revokeJoinToken(operatorCall(), { id }))
      print(json ? `${JSON.stringify({ id, revoked: true })}\n` : `${id} is revoked\n`)
    })
    .addHelpText('after', `\nExample:\n  $ godwit host token revoke 1f2e3d4c5b6a7988`)
}

async function gateway(file: string) {
  const { loadHostConfig, gatewayPlaces, ...host } = await import('#host')
  const { accounts, caFile, url } = gatewayPlaces(loadHostConfig(file))
  return { ...host, accounts, url, ca: readFileSync(caFile, 'utf8') }
}

/** `godwit host remove`. */
export function hostRemoveCommand(print: Print): Command {
  return onGateway('remove', 'take a host that is gone out of the cluster')
    .argument('<host>')
    .option('--force', 'also when it still answers, or machines of it are known')
    .action(async (name: string, { config, force, json }: Common & { force?: true }) => {
      const { loadHostConfig, removeHost, gatewayPlaces } = await import('#host')
      const file = loadHostConfig(config)
      const removed = await removeHost(file, name, { isForced: force === true })
      const { accounts } = gatewayPlaces(file)
      withAccounts(accounts, (open) => open.removeHost(operatorCall(), { host: name }))
      if (json) return print(`${JSON.stringify({ host: name, ...removed })}\n`)
      print(`${name} is removed, and ${removed.machines} machines with it\n`)
      print(
        "if somebody else has its disk, change the cluster's key and CA: docs/operate.md, Certificates\n",
      )
    })
    .addHelpText('after', `\nExample:\n  $ godwit host remove nrt-2`)
}

interface JoinOptions {
  readonly token?: string
  readonly name: string
  readonly address?: string
  readonly folder: string
  readonly settings?: string
  readonly unitFolder: string
  readonly install: boolean
  readonly json?: true
}

/** `godwit host join`. */
export function hostJoinCommand(print: Print, systemctl?: Systemctl): Command {
  return new Command('join')
    .summary('make this server a host of a cluster')
    .description(
      'Makes keys, asks a gateway to sign them, writes the folder of this host, and installs its unit. No file of any other ' +
        'host changes. The token names the cluster, so that no other can answer in its place. Again after a failure: goes on.',
    )
    .argument('<url>', 'of a gateway: https://ADDRESS:4280')
    .option('--token <token>', 'of godwit host token create; better in GODWIT_JOIN_TOKEN')
    .option('--name <host>', 'of this host', hostname())
    .option('--address <ip>', 'under which other hosts reach it, if the token says so')
    .option('--folder <folder>', 'state of this host', dirname(CONFIG_FILE))
    .option(
      '--settings <file>',
      'TOML: [region], [worker], [edge], [dns] of its file, docs/host.md',
    )
    .option('--unit-folder <folder>', 'where units are', '/etc/systemd/system')
    .option('--no-install', 'start nothing: run `godwit host run` by other means')
    .option('--json', 'print JSON')
    .action(async (url: string, options: JoinOptions) => {
      const { joinCluster, loadHostConfig, loadHostSettings, HostError } = await import('#host')
      const { name, address, folder, settings: file, install, unitFolder, json } = options
      const token = options.token ?? process.env['GODWIT_JOIN_TOKEN'] ?? ''
      if (!/^https:\/\//.test(url) || !URL.canParse(url)) {
        throw new HostError('host.join_refused', {
          what: 'this is no URL of a gateway',
          values: { url },
          fix: 'give it as https://ADDRESS:4280',
        })
      }
      const settings = file === undefined ? {} : loadHostSettings(file)
      const signal = AbortSignal.timeout(JOIN_MS)
      const joined = await joinCluster({ url, token, name, address, folder, settings, signal })
      loadHostConfig(joined.configFile)
      if (install)
        await installUnit({ config: joined.configFile, unitFolder, start: true }, systemctl)
      if (json) return print(`${JSON.stringify({ ...joined, started: install })}\n`)
      print(`${joined.host} has joined as ${joined.roles.join(' and ')} in ${joined.region}\n`)
      print(
        `next: ${install ? 'godwit host status' : `godwit host run --config ${join(folder, 'host.toml')}`}\n`,
      )
    })
    .addHelpText(
      'after',
      `\nExample:\n  $ GODWIT_JOIN_TOKEN=gwj1... godwit host join https://192.0.2.1:4280 --name nrt-2`,
    )
}

/** @throws InvalidArgumentError, as commander shows it */
function milliseconds(text: string): number {
  try {
    return parseDurationMs(text)
  } catch {
    throw new InvalidArgumentError('write 30m, 1h or 2d')
  }
}
