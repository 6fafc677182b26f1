import { Command, InvalidArgumentError } from 'commander'
import type { LogLine } from '#local'
import { stateDirOption } from './local-options.ts'

interface LogFlags {
  readonly stateDir: string
  readonly follow?: true
  readonly tail?: number
  readonly timestamps?: true
  readonly json?: true
}

/** `godwit local logs` */
export function localLogsCommand(): Command {
  return new Command('logs')
    .description('show what a machine has written')
    .addOption(stateDirOption())
    .argument('<machine>', 'id, the beginning of one, or name')
    .option('-f, --follow', 'and what it writes from now on, until it ends')
    .option('-n, --tail <lines>', 'only the last lines', parseLines)
    .option('--timestamps', 'each with its time')
    .option('--json', 'as lines of JSON')
    .action(async (machine: string, flags: LogFlags) => {
      const { followLog, LocalMachines, readLog } = await import('#local')
      const machines = await LocalMachines.open(flags.stateDir)
      const { id } = machines.find(machine)
      const folder = machines.host.records.folderOf(id)
      const isOver = () => {
        const phase = machines.host.records.read(id)?.phase
        return phase !== 'running' && phase !== 'starting'
      }
      const before = readLog(folder)
      show(flags.tail === undefined ? before : before.slice(-flags.tail || before.length), flags)
      if (!flags.follow) return
      for await (const line of followLog(folder, isOver)) show([line], flags)
    })
    .addHelpText(
      'after',
      '\nExamples:\n  $ godwit local logs -n 20 -f web\n  $ godwit local logs --json web | jq .text',
    )
}

function show(lines: readonly LogLine[], { json, timestamps }: LogFlags): void {
  for (const line of lines) {
    const { at, stream, text, isPart } = line
    if (json) process.stdout.write(`${JSON.stringify(line)}\n`)
    else process[stream].write(`${timestamps ? `${at} ` : ''}${text}${isPart ? '' : '\n'}`)
  }
}

function parseLines(text: string): number {
  if (/^\d{1,7}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('write a whole number.')
}
