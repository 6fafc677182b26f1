import { Command } from 'commander'
import type { FlapsClient, MachinesClient } from '#flaps-client'
import { type AppOptions, appName, appOption, configOption } from './app-option.ts'
import { type ConnectionOptions, connect, withConnection } from './connection.ts'

export interface AppCommandOptions extends ConnectionOptions, AppOptions {
  readonly json?: boolean
}

/** What a command about an app works with. */
export interface AppSession {
  readonly client: FlapsClient
  readonly app: string
  readonly machines: MachinesClient
}

/** A command about one app, with the options that all of them have. */
export function appCommand(name: string, summary: string, examples: readonly string[]): Command {
  const command = new Command(name)
    .summary(summary)
    .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
    .addOption(appOption())
    .addOption(configOption())
    .option('-j, --json', 'print JSON')
  return withConnection(command).addHelpText(
    'after',
    `\nExamples:\n${examples.map((example) => `  $ godwit ${example}`).join('\n')}`,
  )
}

/** Connects, finds the app, and lets go of the connections afterwards. */
export async function withApp<T>(
  options: AppCommandOptions,
  work: (session: AppSession) => Promise<T>,
): Promise<T> {
  const app = await appName(options)
  using client = await connect(options)
  return await work({ client, app, machines: client.machines(app) })
}
