import { Command } from 'commander'
import { renderTable } from '../table.ts'
import {
  type ConnectionOptions,
  connect,
  connectionOf,
  type Print,
  printOut,
  withConnection,
} from './connection.ts'

interface AuthOptions extends ConnectionOptions {
  readonly json?: boolean
}

interface CurrentToken {
  readonly token_id: string
  readonly org_slug: string
  readonly apps: readonly string[]
  readonly restricted_to_machine: string
  readonly source_machine_id: string
}

/** `godwit auth`: as whom commands speak to the API. There are no people here, only tokens. */
export function authCommand(print: Print = printOut): Command {
  return new Command('auth')
    .summary('as whom commands speak to the API')
    .description(
      'As whom commands speak to the API. godwit itself keeps no login: whoever has a token is let in. An operator makes the first ' +
        'with `godwit tokens create`; GODWIT_TOKEN, FLY_API_TOKEN or --access-token brings it.',
    )
    .addCommand(
      onApi('whoami', 'show what your token is for').action(async (options: AuthOptions) => {
        using client = await connect(options)
        const path = '/v1/tokens/current'
        const { tokens } = await client.call<{ tokens: CurrentToken[] }>('GET', path)
        if (options.json) return print(`${JSON.stringify(tokens)}\n`)
        const rows = tokens.map((token) => [
          token.token_id,
          token.org_slug,
          token.apps.join(' ') === '*' ? 'all' : token.apps.join(' '),
          token.restricted_to_machine || token.source_machine_id,
        ])
        print(renderTable([['TOKEN', 'ORGANISATION', 'APPS', 'MACHINE'], ...rows]))
      }),
    )
    .addCommand(
      onApi('token', 'print the token that commands use').action(async (options: AuthOptions) => {
        const { token } = await connectionOf(options)
        print(options.json ? `${JSON.stringify({ token })}\n` : `${token}\n`)
      }),
    )
}

const onApi = (name: string, summary: string) =>
  withConnection(
    new Command(name)
      .summary(summary)
      .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
      .option('-j, --json', 'print JSON'),
  ).addHelpText('after', `\nExample:\n  $ godwit auth ${name}`)
