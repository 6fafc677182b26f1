import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import type { FlapsClient, FlapsClientOptions } from '#flaps-client'
import { ApiInputError } from './input-error.ts'

/** What every command that talks to the API is given. */
export interface ConnectionOptions {
  readonly api?: string
  readonly accessToken?: string
  readonly ca?: string
}

export type Print = (text: string) => void

export const printOut: Print = (text) => void process.stdout.write(text)

/** Adds the options that say where the API is and who asks. */
export function withConnection(command: Command): Command {
  return (
    command
      .addOption(new Option('--api <url>', 'address of the Machines API').env('GODWIT_API'))
      .addOption(
        new Option('-t, --access-token <token>', 'who asks (also FLY_API_TOKEN)').env(
          'GODWIT_TOKEN',
        ),
      )
      .addOption(new Option('--ca <file>', "the platform's own CA, as PEM").env('GODWIT_CA'))
      // Of flyctl's: there is nothing more to say here; GODWIT_DEBUG=1 shows stacks.
      .addOption(new Option('--verbose').hideHelp())
      .addOption(new Option('--debug').hideHelp())
  )
}

/** @throws ApiInputError cli.no_api, cli.no_token, cli.ca_unreadable */
export async function connect(options: ConnectionOptions): Promise<FlapsClient> {
  const { FlapsClient } = await import('#flaps-client')
  return new FlapsClient(await connectionOf(options))
}

/** Where the API is and who asks, as options, environment and profile say. @throws as `connect` */
export async function connectionOf(options: ConnectionOptions): Promise<FlapsClientOptions> {
  const { readProfile } = await import('#flaps-client')
  // Of one machine's platform: with the address of another one, its token would go astray.
  const profile = options.api === undefined ? readProfile() : undefined
  const { api = profile?.api } = options
  const ca = options.ca === undefined ? profile?.ca : readCa(options.ca)
  const token =
    options.accessToken ??
    process.env['FLY_API_TOKEN'] ??
    process.env['FLY_ACCESS_TOKEN'] ??
    profile?.token
  if (api === undefined) {
    throw new ApiInputError('cli.no_api', {
      what: 'no address of an API was given',
      fix: 'set GODWIT_API, or give --api, as in --api https://api.example.com; `npm run up` runs one on this machine',
    })
  }
  if (token === undefined) {
    throw new ApiInputError('cli.no_token', {
      what: 'no access token was given',
      fix: 'set GODWIT_TOKEN, or give --access-token; an operator makes one with `godwit tokens create`',
    })
  }
  return { url: api, token: token.trim(), ...(ca === undefined ? {} : { ca }) }
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new ApiInputError('cli.ca_unreadable', {
      what: 'cannot read the CA',
      values: { file },
      fix: 'name a file of PEM certificates that you may read',
      cause,
    })
  }
}
