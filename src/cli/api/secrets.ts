import { Command } from 'commander'
import type { AppConfig } from '#app-config'
import type { Strategy } from '#deploy'
import { renderTable } from '../table.ts'
import { type AppCommandOptions, type AppSession, appCommand, withApp } from './app-command.ts'
import { type Print, printOut } from './connection.ts'
import { DEPLOY_DEFAULTS, deployRelease } from './deploy.ts'
import { ApiInputError } from './input-error.ts'
import { ago } from './machine-table.ts'

interface ChangeOptions extends AppCommandOptions {
  readonly stage?: boolean
}

/** `godwit secrets`: what an app knows and its configuration does not say. */
export function secretsCommand(print: Print = printOut): Command {
  return new Command('secrets')
    .summary('what an app knows and its configuration does not say')
    .addCommand(
      appCommand('list', 'show the names of secrets; values are never shown', [
        'secrets list -a web',
      ]).action((options: AppCommandOptions) =>
        withApp(options, async ({ client, app }) => {
          const secrets = await client.secrets(app).list()
          if (options.json) return print(`${JSON.stringify(secrets)}\n`)
          if (secrets.length === 0) return print(`${app} has no secrets\n`)
          const rows = secrets.map(({ name, digest, updated_at: updated = '' }) => [
            name,
            digest,
            ago(updated),
          ])
          print(renderTable([['NAME', 'DIGEST', 'CHANGED'], ...rows]))
        }),
      ),
    )
    .addCommand(
      changing('set', 'set secrets, and restart machines with them', [
        'secrets set DB_URL=postgres://... -a web',
        'secrets set KEY=- -a web < key.pem',
      ])
        .argument('<NAME=value...>', 'a value of - is read from standard input')
        .action((words: string[], options: ChangeOptions) =>
          withApp(options, async (session) =>
            change(session, await valuesOf(words), options, print),
          ),
        ),
    )
    .addCommand(
      changing('unset', 'remove secrets, and restart machines without them', [
        'secrets unset DB_URL -a web',
      ])
        .argument('<name...>')
        .action((names: string[], options: ChangeOptions) =>
          withApp(options, (session) =>
            change(session, Object.fromEntries(names.map((name) => [name, null])), options, print),
          ),
        ),
    )
    .addCommand(
      changing('import', 'set secrets from lines of NAME=value on standard input', [
        'secrets import -a web < .env',
      ]).action((options: ChangeOptions) =>
        withApp(options, async (session) =>
          change(session, parseLines(await readInput()), options, print),
        ),
      ),
    )
    .addCommand(
      appCommand('deploy', 'restart machines with the secrets that were staged', [
        'secrets deploy -a web',
      ]).action((options: AppCommandOptions) =>
        withApp(options, (session) => restart(session, options, print)),
      ),
    )
}

const changing = (name: string, summary: string, examples: readonly string[]): Command =>
  appCommand(name, summary, examples).option('--stage', 'machines get them with their next version')

async function change(
  session: AppSession,
  values: Readonly<Record<string, string | null>>,
  options: ChangeOptions,
  print: Print,
): Promise<void> {
  const { client, app, machines } = session
  const version = await client.secrets(app).set(values)
  const count = Object.keys(values).length
  if (options.stage || (await machines.list()).length === 0) {
    const text = `${count} changed; machines get them with their next version\nnext: godwit secrets deploy -a ${app}\n`
    return print(options.json ? `${JSON.stringify({ changed: count, version })}\n` : text)
  }
  await restart(session, options, print)
}

/** The release that runs, deployed anew: machines read secrets when they start. */
async function restart(
  session: AppSession,
  options: AppCommandOptions,
  print: Print,
): Promise<void> {
  const { client, app } = session
  const release = await client.releases(app).current()
  if (release === undefined) {
    throw new ApiInputError('cli.failed', {
      what: 'nothing was deployed that could be restarted',
      values: { app },
      fix: 'deploy the app; machines made by hand get their secrets with `godwit machine update` or a restart',
    })
  }
  const result = await deployRelease(session, {
    config: release.definition as AppConfig,
    file: '.',
    image: release.image_ref,
    print,
    options: {
      ...options,
      ...DEPLOY_DEFAULTS,
      publicIps: false,
      ...{ updateOnly: true, skipReleaseCommand: true, strategy: release.strategy as Strategy },
    },
  })
  if (options.json) return print(`${JSON.stringify(result)}\n`)
  print(`v${result.version}: ${result.updated} machines have the new secrets\n`)
}

async function valuesOf(words: readonly string[]): Promise<Record<string, string>> {
  const values: Record<string, string> = {}
  for (const word of words) {
    const at = word.indexOf('=')
    if (at < 1) throw notPair(word)
    const value = word.slice(at + 1)
    values[word.slice(0, at)] = value === '-' ? await readInput() : value
  }
  return values
}

/** Lines as `.env` files have them: `#` begins a comment line, quotes around a value are taken off. */
export function parseLines(text: string): Record<string, string> {
  const values: Record<string, string> = {}
  for (const line of text.split('\n').map((one) => one.trim())) {
    if (line === '' || line.startsWith('#')) continue
    const at = line.indexOf('=')
    if (at < 1) throw notPair(line)
    const value = line.slice(at + 1).trim()
    const quoted = /^(["'])(.*)\1$/.exec(value)
    values[
      line
        .slice(0, at)
        .replace(/^export\s+/, '')
        .trim()
    ] = quoted?.[2] ?? value
  }
  return values
}

/** The value may be a secret: it is not shown. */
const notPair = (word: string) =>
  new ApiInputError('cli.bad_value', {
    what: 'not a name and a value',
    values: { begins: word.slice(0, 3) },
    fix: 'write it as NAME=value',
  })

const INPUT_BYTES_MAX = 1 << 20

async function readInput(): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of process.stdin) {
    bytes += piece.length
    if (bytes > INPUT_BYTES_MAX) {
      throw new ApiInputError('cli.bad_value', { what: 'more than 1 MiB on standard input' })
    }
    pieces.push(Buffer.from(piece))
  }
  return Buffer.concat(pieces).toString()
}
