import type { Command } from 'commander'
import type { Machine } from '#flaps-client'
import { renderTable } from '../table.ts'
import { type AppCommandOptions, appCommand, withApp } from './app-command.ts'
import type { Print } from './connection.ts'
import { machineOf } from './machine-argument.ts'
import { imageText, sizeText } from './machine-table.ts'

/** `machine status`. */
export function machineStatusCommand(print: Print): Command {
  return appCommand('status', 'show one machine, its checks and what happened to it', [
    'machine status 148ed599c14189 -a web',
  ])
    .argument('[id]', 'of the machine; asked for, when it is left out')
    .option('-d, --display-config', 'its whole configuration, too')
    .action((id: string | undefined, options: AppCommandOptions & { displayConfig?: boolean }) =>
      withApp(options, async (session) => {
        const machine = await machineOf(session, id)
        if (options.json) return print(`${JSON.stringify(machine)}\n`)
        print(describe(machine))
        if (options.displayConfig) print(`\n${JSON.stringify(machine.config, null, 2)}\n`)
      }),
    )
}

function describe(machine: Machine): string {
  const { checks = [], events = [] } = machine
  const facts = renderTable([
    ['ID', machine.id],
    ['Name', machine.name],
    ['State', machine.state],
    ['Host', machine.host_status],
    ['Region', machine.region],
    ['Size', sizeText(machine)],
    ['Image', imageText(machine)],
    ['Version', machine.instance_id],
    ['Address', machine.private_ip],
    ['Created', machine.created_at],
    ['Updated', machine.updated_at],
  ])
  const checkRows = checks.map(({ name, status, output = '' }) => [
    name,
    status,
    output.split('\n')[0]?.slice(0, 80) ?? '',
  ])
  const eventRows = events.map(({ type, status, source, timestamp, request }) => {
    const exit = request?.exit_event
    const detail =
      exit === undefined
        ? ''
        : `exit_code=${exit.exit_code ?? 0}${exit.oom_killed ? ' out of memory' : ''}`
    return [new Date(timestamp).toISOString(), type, status, source, detail]
  })
  return [
    facts,
    ...(checkRows.length === 0
      ? []
      : [`\n${renderTable([['CHECK', 'STATUS', 'OUTPUT'], ...checkRows])}`]),
    ...(eventRows.length === 0
      ? []
      : [`\n${renderTable([['TIME', 'EVENT', 'STATUS', 'SOURCE', ''], ...eventRows])}`]),
  ].join('')
}
