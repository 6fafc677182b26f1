import { type Command, Option } from 'commander'
import type { LogLine } from '#flaps-client'
import { wantsColour } from '../terminal.ts'
import { type AppCommandOptions, appCommand, withApp } from './app-command.ts'
import { type Print, printOut } from './connection.ts'

interface LogsOptions extends AppCommandOptions {
  readonly tail: boolean
  readonly region?: string
  readonly machine?: string
}

const FAILURES_MAX = 10
const BACKOFF = { baseMs: 250, capMs: 4_000 } as const

/** `godwit logs`: what an app's machines write. */
export function logsCommand(print: Print = printOut): Command {
  return appCommand('logs', "show what an app's machines write, and go on as they do", [
    'logs -a web',
    'logs -a web --no-tail --machine 148ed599c14189',
    'logs -a web --json | jq -r .message',
  ])
    .option('-n, --no-tail', 'end with what is there')
    .option('-r, --region <code>', 'only machines there')
    .option('--machine <id>', 'only this machine')
    .addOption(new Option('-i, --instance <id>', 'the same').hideHelp())
    .action((given: LogsOptions & { instance?: string }) =>
      withApp(given, async ({ client, app }) => {
        const { backoffMs, systemClock, systemRandom } = await import('#base')
        const { ApiError } = await import('#flaps-client')
        const { instance, ...rest } = given
        const options: LogsOptions = instance === undefined ? rest : { machine: instance, ...rest }
        const filter = {
          ...(options.region === undefined ? {} : { region: options.region }),
          ...(options.machine === undefined ? {} : { machine: options.machine }),
        }
        let next = ''
        for (let failures = 0; ; ) {
          try {
            const page = await client.logs(app, { ...filter, nextToken: next })
            failures = 0
            next = page.next
            for (const line of page.lines) print(options.json ? jsonLine(line) : textLine(line))
            if (!options.tail) return
          } catch (error) {
            const isTransient = error instanceof ApiError && error.traits.status >= 500
            failures += 1
            if (!options.tail || !isTransient || failures >= FAILURES_MAX) throw error
            process.stderr.write(`warning: ${error.what}; trying again\n`)
            await systemClock.sleep(backoffMs(failures, BACKOFF, systemRandom))
          }
        }
      }),
    )
}

const jsonLine = (line: LogLine) => `${JSON.stringify(line)}\n`

const LEVEL_COLOURS: Readonly<Record<string, number>> = { error: 31, warn: 33, debug: 90 }

function textLine({ timestamp, provider, machine, region, level, message }: LogLine): string {
  const time = timestamp.slice(0, 23).replace('T', ' ')
  const head = `${time} ${provider}[${machine}] ${region} [${level}]`
  if (!wantsColour(process.stdout)) return `${head} ${message}\n`
  return `\x1b[${LEVEL_COLOURS[level] ?? 36}m${head}\x1b[0m ${message}\n`
}
