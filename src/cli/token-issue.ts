import { Argument, Command, Option } from 'commander'
import { type Accounts, TOKEN_PROFILES, type TokenProfile } from '#accounts'
import { operatorCall, showTime, withAccounts } from './accounts-folder.ts'
import { withConnection } from './api/connection.ts'
import { organizationOption } from './api/organization-option.ts'
import { jsonLine, onAccounts } from './on-accounts.ts'
import { renderTable } from './table.ts'
import { type DeskInput, type DeskOptions, type DeskToken, openTokenDesk } from './token-desk.ts'
import type { TokensIo } from './token-input.ts'

/** 20 years, as flyctl has it. */
const EXPIRY = '175200h'

interface Common {
  readonly accounts: string
  readonly org: string
  readonly json?: true
}

interface DeskCommandOptions extends DeskOptions {
  readonly org?: string
  readonly app?: string
  readonly json?: true
}

interface CreateOptions extends DeskCommandOptions {
  readonly machine?: string
  readonly name?: string
  readonly expiry: string
  readonly commandPrefix: readonly string[]
}

/** The subcommands of `godwit tokens` that make and end tokens. */
export const issuingCommands = (io: TokensIo): Command[] => [
  createCommand(io),
  listCommand(io),
  revokeCommand(io),
  rotateCommand(io),
]

function createCommand(io: TokensIo): Command {
  return onDesk(
    'create',
    'make a token; it is shown once and kept nowhere',
    'tokens create deploy --app web --expiry 720h\n  $ godwit tokens create org --org acme',
  )
    .addArgument(new Argument('<profile>', 'what it is for').choices(TOKEN_PROFILES))
    .option('-a, --app <name>', 'the app that it is for')
    .option('--machine <id>', 'the machine that it is for')
    .option('--name <name>', 'as lists show it')
    .option('--expiry <duration>', 'how long it is good', EXPIRY)
    .addOption(
      new Option('--command-prefix <words>', 'what machine-exec may run; repeatable')
        .argParser((one: string, all: readonly string[]) => [...all, one])
        .default([], 'anything'),
    )
    .action(async (profile: TokenProfile, options: CreateOptions) => {
      using desk = await openTokenDesk(options)
      const { token, ...rest } = await desk.create(newToken(profile, options))
      io.print(options.json ? jsonLine({ token, ...rest }) : `${token}\n`)
    })
}

function newToken(profile: TokenProfile, options: CreateOptions): DeskInput {
  const { org, app, machine, name, expiry, commandPrefix } = options
  return {
    organization: org,
    profile,
    expiry,
    ...(app === undefined ? {} : { app }),
    ...(machine === undefined ? {} : { machine }),
    ...(name === undefined ? {} : { name }),
    ...(commandPrefix.length === 0
      ? {}
      : { commands: commandPrefix.map((words) => words.trim().split(/\s+/)) }),
  }
}

function listCommand(io: TokensIo): Command {
  return onDesk('list', 'show the tokens of an organisation', 'tokens list --org acme')
    .option('-a, --app <name>', 'only those for this app')
    .action(async (options: DeskCommandOptions) => {
      using desk = await openTokenDesk(options)
      const all = await desk.list(options.org)
      const tokens = all.filter(({ app }) => options.app === undefined || app === options.app)
      io.print(options.json ? jsonLine(tokens) : tokenTable(tokens))
    })
}

const tokenTable = (tokens: readonly DeskToken[]) =>
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
  return onDesk(
    'revoke',
    'stop tokens, and all that was attenuated from them',
    'tokens revoke 03e85a60-6543-5d42-997f-40607fe6e717',
  )
    .argument('<id...>', 'ids as list and inspect show them')
    .action(async (ids: string[], options: DeskCommandOptions) => {
      using desk = await openTokenDesk(options)
      for (const uuid of ids) {
        await desk.revoke(options.org, uuid)
        if (options.json !== true) io.print(`revoked ${uuid}\n`)
      }
      if (options.json) io.print(jsonLine(ids.map((uuid) => ({ uuid }))))
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

/** Through the API, or on the accounts' folder. */
const onDesk = (name: string, summary: string, example: string) =>
  withConnection(
    new Command(name)
      .summary(summary)
      .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
      .addOption(organizationOption())
      .addOption(
        new Option('--accounts <folder>', 'work on the accounts of this machine instead').env(
          'GODWIT_ACCOUNTS',
        ),
      )
      .option('-j, --json', 'print JSON'),
  ).addHelpText('after', `\nExamples:\n  $ godwit ${example}`)
