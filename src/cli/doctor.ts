import { join } from 'node:path'
import { Command } from 'commander'
import { formatReport, runDoctor } from '#setup'
import { doctorNetworkCommand } from './net.ts'
import { wantsColour } from './terminal.ts'

/** `godwit doctor`: tries what this machine can do. Exits 1 when something required is missing. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('try what this machine can do, and say what is missing and what to do about it')
    .option('--json', 'print the findings as JSON')
    .option('--fresh', 'boot the trial guests again, whatever an earlier doctor remembers')
    .addCommand(doctorNetworkCommand())
    .addHelpText(
      'after',
      '\nExamples:\n  $ godwit doctor\n  $ godwit doctor --json | jq .ready\n  $ godwit doctor network',
    )
    .action(async (options: { json?: true; fresh?: true }) => {
      const interrupt = new AbortController()
      const stop = () => interrupt.abort(new Error('interrupted'))
      process.once('SIGINT', stop).once('SIGTERM', stop)
      const report = await runDoctor({
        root: join(import.meta.dirname, '..', '..'),
        fresh: options.fresh === true,
        signal: interrupt.signal,
      })
      if (options.json) process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
      else process.stdout.write(formatReport(report, { colour: wantsColour(process.stdout) }))
      if (!report.ready) process.exitCode = 1
    })
}
