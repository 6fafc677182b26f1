import { Argument, type Command, Option } from 'commander'
import { type Accounts, type IssuedToken, TOKEN_PROFILES, type TokenProfile } from '#accounts'
import { parseDurationMs } from '#base'
import { jsonLine, onAccounts } from './accounts.ts'
import { operatorCall, showTime, withAccounts } from './accounts-folder.ts'
import { renderTable } from './table.ts'
import type { TokensIo } from './token-input.ts'

/** 20 years, as flyctl has it. */
const EXPIRY = '175200h'

interface Common {
  readonly accounts: string
  readonly org: string
  readonly json?: true
}

interface CreateOptions extends Common {
  readonly app?: string
  readonly machine?: string
  readonly name?: string
  readonly expiry: string
  readonly commandPrefix: readonly string[]
}

/** The subcommands of `godwit tokens` that need the accounts' database. */
export const issuingCommands = (io: TokensIo): Command[] => [
  createCommand(io),
  listCommand(io),
  revokeCommand(io),
  rotateCommand(io),
]

function createCommand(io: TokensIo): Command {
  return onOrganization(
    'create',
    'make a token; it is shown once and kept nowhere',
    'tokens create org --org acme\n  $ godwit tokens create deploy --org acme --app web --expiry 720h',
  )
    .addArgument(new Argument('<profile>', 'what it is for').choices(TOKEN_PROFILES))
    .option('--app <name>', 'the app that it is for')
    .option('--machine <id>', 'the machine that it is for')
    .option('--name <name>', 'as lists show it')
    .option('--expiry <duration>', 'how long it is good', EXPIRY)
    .addOption(
      new Option('--command-prefix <words>', 'what machine-exec may run; repeatable')
        .argParser((one: string, all: readonly string[]) => [...all, one])
        .default([], 'anything'),
    )
    .action((profile: TokenProfile, options: CreateOptions) => {
      const created = withAccounts(options.accounts, (accounts) =>
        accounts.createToken(operatorCall(), newToken(profile, options)),
      )
      const { header: token, ...rest } = created
      io.print(options.json ? jsonLine({ token, ...rest }) : `${token}\n`)
    })
}

function newToken(profile: TokenProfile, options: CreateOptions) {
  const { org, app, machine, name, expiry, commandPrefix } = options
  return {
    organization: org,
    profile,
    expiresInS: Math.floor(parseDurationMs(expiry) / 1000),
    ...(app === undefined ? {} : { app }),
    ...(machine === undefined ? {} : { machine }),
    ...(name === undefined ? {} : { name }),
    ...(commandPrefix.length === 0
      ? {}
      : { commands: commandPrefix.map((words) => words.trim().split(/\s+/)) }),
  }
}

function listCommand(io: TokensIo): Command {
  return onOrganization('list', 'show the tokens of an organisation', 'tokens list --org acme')
    .option('--app <name>', 'only those for this app')
    .action((options: Common & { app?: string }) => {
      const tokens = withAccounts(options.accounts, (accounts) =>
        accounts.tokens(options.org),
      ).filter(({ app }) => options.app === undefined || app === options.app)
      io.print(options.json ? jsonLine(tokens) : tokenTable(tokens))
    })
}

const tokenTable = (tokens: readonly IssuedToken[]) =>
  renderTable([
    ['ID', 'NAME', 'PROFILE', 'APP', 'CREATED BY', 'EXPIRES AT', 'REVOKED AT'],
    ...tokens.map((token) => [
      token.uuid,
      JSON.stringify(token.name),
      token.profile,
      token.app ?? '-',
      token.createdBy,
      showTime(token.expiresAtMs),
      showTime(token.revokedAtMs),
    ]),
  ])

function revokeCommand(io: TokensIo): Command {
  return onAccounts(
    'revoke',
    'stop tokens, and all that was attenuated from them',
    'tokens revoke 03e85a60-6543-5d42-997f-40607fe6e717',
  )
    .argument('<id...>', 'ids as list and inspect show them')
    .action((ids: string[], options: { accounts: string; json?: true }) => {
      const revoked = withAccounts(options.accounts, (accounts) =>
        ids.map((uuid) => accounts.revokeToken(operatorCall(), { uuid })),
      )
      if (options.json) return io.print(jsonLine(revoked))
      for (const { uuid } of revoked) io.print(`revoked ${uuid}\n`)
    })
}

function rotateCommand(io: TokensIo): Command {
  return onOrganization(
    'rotate',
    'sign new tokens with a new key; --retire ends an old one, and every token it signed',
    'tokens rotate --org acme\n  $ godwit tokens rotate --org acme --retire 5f2c...',
  )
    .option('--retire <key id>', 'destroy this key instead')
    .action(({ accounts: folder, org, retire, json }: Common & { retire?: string }) => {
      const keys = withAccounts(folder, (accounts) => {
        rotate(accounts, org, retire)
        return accounts.rootKeys(org)
      })
      if (json) return io.print(jsonLine(keys))
      const rows = keys.map((key) => [
        key.kid,
        showTime(key.createdAtMs),
        showTime(key.retiredAtMs),
      ])
      io.print(renderTable([['KEY ID', 'CREATED AT', 'RETIRED AT'], ...rows]))
    })
}

function rotate(accounts: Accounts, organization: string, retired: string | undefined): void {
  if (retired === undefined) accounts.addRootKey(operatorCall(), { organization })
  else accounts.retireRootKey(operatorCall(), { organization, kid: retired })
}

const onOrganization = (name: string, summary: string, example: string) =>
  onAccounts(name, summary, example).requiredOption('--org <slug>', 'whose')
