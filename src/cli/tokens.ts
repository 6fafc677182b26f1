import { Command, Option } from 'commander'
import { RevocationFeed } from '#accounts'
import { systemClock } from '#base'
import {
  attenuateBundle,
  type Bundle,
  caveatsFromJson,
  caveatsToJson,
  inspectBundle,
  onlyPermissionToken,
  openVerifier,
  PERMISSION_LOCATION,
  parseAccess,
  parseBundle,
  permissionTokens,
  printBundle,
  printExactJson,
  requireAuthorized,
  type TokenSummary,
  tokenUuid,
  type VerifiedBundle,
  verifiedTokens,
  verifyBundle,
  withoutUseless,
} from '#macaroon'
import { withAccounts } from './accounts-folder.ts'
import { processIo, TokenInput, TokenInputError, type TokensIo } from './token-input.ts'
import { issuingCommands } from './token-issue.ts'

const KEY_VARIABLE = 'GODWIT_TOKEN_KEY'

interface CommonOptions {
  readonly tokenFile?: string
  readonly location: string
  readonly json?: true
}

/**
 * `godwit tokens`: make, list and revoke tokens where the accounts are; look at, narrow and check them
 * anywhere, without asking any server.
 */
export function tokensCommand(io: TokensIo = processIo): Command {
  const tokens = new Command('tokens')
    .summary('make, list and revoke tokens; look at, narrow and check them offline')
    .description(
      'Works on tokens as they travel in an Authorization header: one or several, with or without ' +
        'FlyV1. Nothing leaves this machine.',
    )
  for (const command of issuingCommands(io)) tokens.addCommand(command)
  return tokens
    .addCommand(inspectCommand(io))
    .addCommand(attenuateCommand(io))
    .addCommand(verifyCommand(io))
}

/** A subcommand that takes a token. */
function onToken(name: string, summary: string): Command {
  return new Command(name)
    .summary(summary)
    .description(summary)
    .argument(
      '[token]',
      'the token; - reads it from standard input, where other users can not see it',
    )
    .option('--token-file <file>', 'read the token from a file')
    .option('--location <url>', 'where permission tokens come from', PERMISSION_LOCATION)
    .option('--json', 'print JSON')
}

function inspectCommand(io: TokensIo): Command {
  return onToken('inspect', 'show what a token says; nothing is verified')
    .action(async (argument: string | undefined, options: CommonOptions) => {
      const token = await new TokenInput(io).token(argument, options.tokenFile)
      const summaries = inspectBundle(parseBundle(token, options.location))
      if (options.json) io.print(`${printExactJson(summaries, 2)}\n`)
      else io.print(summaries.map(showSummary).join('\n'))
    })
    .addHelpText(
      'after',
      `
Examples:
  $ godwit tokens inspect "$FLY_API_TOKEN"
  $ godwit tokens inspect - < token.txt
  $ godwit tokens inspect --json --token-file token.txt`,
    )
}

interface AttenuateOptions extends CommonOptions {
  readonly file?: string
  readonly caveats?: string
}

function attenuateCommand(io: TokensIo): Command {
  return onToken('attenuate', 'add caveats to every permission token and print the result')
    .option('-f, --file <file>', 'caveats as JSON; - reads standard input')
    .option('-c, --caveats <json>', 'caveats as JSON, here')
    .action(async (argument: string | undefined, options: AttenuateOptions) => {
      const input = new TokenInput(io)
      const json = await readCaveats(input, options)
      const token = await input.token(argument, options.tokenFile)
      const caveats = caveatsFromJson(json)
      const bundle = parseBundle(token, options.location)
      if (permissionTokens(bundle).length === 0) onlyPermissionToken(bundle) // throws what is wrong
      const header = printBundle(attenuateBundle(bundle, caveats))
      io.print(options.json ? `${JSON.stringify({ token: header })}\n` : `${header}\n`)
    })
    .addHelpText(
      'after',
      `
Examples:
  $ godwit tokens attenuate "$FLY_API_TOKEN" -c '[{"type":"Action","body":"r"}]'
  $ godwit tokens attenuate --token-file token.txt -f caveats.json
  $ godwit tokens attenuate - -c '[{"type":"Apps","body":{"apps":{"123":"rw"}}}]' < token.txt`,
    )
}

async function readCaveats(input: TokenInput, options: AttenuateOptions): Promise<string> {
  const { file, caveats } = options
  if ((file === undefined) === (caveats === undefined)) {
    throw new TokenInputError(
      file === undefined ? 'tokens.input_missing' : 'tokens.input_repeated',
      {
        what: file === undefined ? 'no caveats were given' : 'caveats twice',
        fix: 'give them once, with --file or with --caveats',
      },
    )
  }
  return caveats ?? input.file('the caveats', file ?? '-')
}

interface VerifyOptions extends CommonOptions {
  readonly keyFile?: string
  readonly accounts?: string
  readonly trust: readonly string[]
  readonly access?: string
  readonly at?: string
}

function verifyCommand(io: TokensIo): Command {
  return onToken('verify', 'check a token with its signing key, and whether it allows an access')
    .option('--key-file <file>', `signing key in base64; else $${KEY_VARIABLE}`)
    .option('--accounts <folder>', 'keys and revocations of these accounts instead')
    .addOption(
      new Option(
        '--trust <location=file>',
        'believe what discharges of this third party say: its shared key in base64; repeatable',
      )
        .argParser((one: string, all: readonly string[]) => [...all, one])
        .default([], 'nobody'),
    )
    .option('--access <json>', 'an access that the token must allow')
    .option('--at <time>', 'judge the access at this time (ISO 8601)')
    .action(async (argument: string | undefined, options: VerifyOptions) => {
      const input = new TokenInput(io)
      const trusted = await readTrusted(input, options.trust)
      const key =
        options.accounts === undefined ? await input.key(options.keyFile, KEY_VARIABLE) : undefined
      const nowMs = options.at === undefined ? io.nowMs() : parseTime(options.at)
      const access = options.access === undefined ? undefined : parseAccess(options.access)
      const token = await input.token(argument, options.tokenFile)
      const bundle = withoutUseless(parseBundle(token, options.location))
      const verified =
        key === undefined
          ? verifyByAccounts(bundle, options.accounts ?? '', trusted)
          : verifyBundle(bundle, openVerifier({ keyFor: () => key, trusted, clock: systemClock }))
      if (access !== undefined) requireAuthorized(verified, [access], { nowMs })
      else requireVerified(verified, nowMs)
      printVerified(io, verified, options.json === true, access !== undefined)
    })
    .addHelpText(
      'after',
      `
Examples:
  $ godwit tokens verify --key-file key.txt - < token.txt
  $ godwit tokens verify --key-file key.txt --token-file token.txt \\
      --access '{"action":"w","orgid":123,"appid":7}'
  $ godwit tokens verify --accounts /var/lib/godwit/accounts - < token.txt

Exit codes:
  0 genuine, and allowed where --access asks; 1 not`,
    )
}

type Trusted = ReadonlyMap<string, readonly Uint8Array[]>

/** As a verifier of the platform does it: each token's own key, and nothing that was revoked. */
function verifyByAccounts(bundle: Bundle, folder: string, trusted: Trusted): VerifiedBundle {
  return withAccounts(folder, (accounts) => {
    const revocations = new RevocationFeed(accounts, { clock: systemClock, staleAfterMs: 60_000 })
    revocations.poll()
    const keyFor = (kid: Uint8Array) => accounts.rootKeySecret(kid)
    return verifyBundle(bundle, openVerifier({ keyFor, trusted, revocations, clock: systemClock }))
  })
}

/** Turns "none is genuine" into its error; rights are not asked for. */
function requireVerified(verified: VerifiedBundle, nowMs: number): void {
  if (verifiedTokens(verified).length === 0) requireAuthorized(verified, [{ action: 0 }], { nowMs })
}

async function readTrusted(input: TokenInput, pairs: readonly string[]) {
  const trusted = new Map<string, Uint8Array[]>()
  for (const pair of pairs) {
    const at = pair.lastIndexOf('=')
    const location = pair.slice(0, Math.max(0, at))
    const key = await input.key(pair.slice(at + 1), KEY_VARIABLE)
    trusted.set(location, [...(trusted.get(location) ?? []), key])
  }
  return trusted
}

function parseTime(text: string): number {
  const ms = Date.parse(text)
  if (!Number.isNaN(ms)) return ms
  throw new TokenInputError('tokens.time_bad', {
    what: 'this is no time',
    values: { at: text },
    fix: 'write it like 2026-12-31T23:59:59Z',
  })
}

function printVerified(
  io: TokensIo,
  { verdicts }: VerifiedBundle,
  asJson: boolean,
  isAccessAllowed: boolean,
): void {
  const rows = verdicts.map(({ token, verdict }) => ({
    uuid: tokenUuid(token.macaroon.nonce),
    verified: verdict.verified,
    ...(verdict.verified
      ? { caveats: caveatsToJson(verdict.token.caveats), error: undefined }
      : { reason: verdict.failure.reason, error: verdict.failure.message }),
  }))
  if (asJson) {
    const answer = { ...(isAccessAllowed ? { allowed: true } : {}), tokens: rows }
    io.print(`${printExactJson(answer, 2)}\n`)
    return
  }
  for (const { uuid, error } of rows) {
    io.print(`${uuid}  ${error === undefined ? 'genuine' : printable(`refused: ${error}`)}\n`)
  }
  if (isAccessAllowed) io.print('the access is allowed\n')
}

function showSummary(summary: TokenSummary): string {
  if (summary.kind === 'other') return `other token ${printable(summary.prefix)}\n`
  if (summary.kind === 'malformed') {
    const { error } = summary.problem
    return `damaged token\n  ${printable(error)}\n`
  }
  const { kind, uuid, location, kid, bytes, notAfter, thirdParties, caveats } = summary
  const lines = [
    `${kind} token ${uuid}`,
    `  location     ${location}`,
    `  key id       ${kind === 'discharge' ? '(a ticket)' : kid}`,
    `  size         ${bytes} bytes`,
    `  valid until  ${notAfter === null ? 'no end' : showSecond(Number(notAfter))}`,
    ...thirdParties.map((at) => `  needs        a discharge of ${at}`),
    ...caveats.map((caveat) => `  caveat       ${printExactJson(caveat)}`),
  ]
  return `${lines.map(printable).join('\n')}\n`
}

const DATE_SECONDS_MAX = 8.64e12

function showSecond(second: number): string {
  if (Math.abs(second) > DATE_SECONDS_MAX) return `second ${second}`
  return new Date(second * 1000).toISOString()
}

/** Tokens are made by others: what could steer a terminal or reorder its text shows as its code. */
function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  )
}
