import { Command } from 'commander'
import { folderOption } from './accounts-folder.ts'

/** A subcommand of those that work on the accounts' folder. */
export function onAccounts(name: string, summary: string, example: string): Command {
  return new Command(name)
    .summary(summary)
    .description(summary)
    .addOption(folderOption())
    .option('--json', 'print JSON')
    .addHelpText('after', `\nExamples:\n  $ godwit ${example}`)
}

export const jsonLine = (value: unknown) => `${JSON.stringify(value)}\n`
