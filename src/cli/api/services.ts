import { Command } from 'commander'
import type { Machine } from '#flaps-client'
import { renderTable } from '../table.ts'
import { type AppCommandOptions, appCommand, withApp } from './app-command.ts'
import { type Print, printOut } from './connection.ts'

interface ServiceLine {
  readonly protocol: string
  readonly ports: string
  readonly handlers: string
  readonly internal_port: number
  readonly group: string
  readonly machines: number
  readonly regions: readonly string[]
}

/** `godwit services`: ports by which an app is reached. */
export function servicesCommand(print: Print = printOut): Command {
  return new Command('services').summary('ports by which an app is reached').addCommand(
    appCommand('list', 'show the services of an app', ['services list -a web'])
      .alias('ls')
      .action((options: AppCommandOptions) =>
        withApp(options, async ({ machines, app }) => {
          const lines = servicesOf(await machines.list())
          if (options.json) return print(`${JSON.stringify(lines)}\n`)
          if (lines.length === 0) {
            return print(
              `${app} has no services\nnext: give it one in fly.toml, [http_service] or [[services]]\n`,
            )
          }
          const head = ['PROTOCOL', 'PORTS', 'HANDLERS', 'LEADS TO', 'GROUP', 'MACHINES', 'REGIONS']
          const rows = lines.map((line) => [
            ...[line.protocol, line.ports, line.handlers, `${line.internal_port}`, line.group],
            ...[`${line.machines}`, line.regions.join(' ')],
          ])
          print(renderTable([head, ...rows]))
        }),
      ),
  )
}

type Port = {
  readonly port?: number
  readonly start_port?: number
  readonly end_port?: number
  readonly handlers?: readonly string[]
}

/** Services that are alike in machines of one process group are one line. */
export function servicesOf(machines: readonly Machine[]): ServiceLine[] {
  const found = machines.flatMap(({ config, incomplete_config: other, region }) => {
    const { services = [], metadata } = config ?? other ?? {}
    const group = metadata?.['fly_process_group'] ?? 'app'
    return services.map((service) => ({ ...lineOf(service), group, region }))
  })
  const alike = Map.groupBy(found, ({ region: _, ...line }) => JSON.stringify(line))
  return [...alike.values()].flatMap((own) => {
    const [first] = own
    if (first === undefined) return []
    const { region: _, ...line } = first
    const regions = [...new Set(own.map(({ region }) => region))].sort()
    return [{ ...line, machines: own.length, regions }]
  })
}

function lineOf(service: Readonly<Record<string, unknown>>) {
  const ports = (service['ports'] ?? []) as readonly Port[]
  const text = ({ port, start_port: first, end_port: last }: Port) =>
    `${port ?? `${first}-${last}`}`
  return {
    protocol: String(service['protocol'] ?? 'tcp'),
    ports: ports.map(text).join(' '),
    handlers: ports.map(({ handlers = [] }) => handlers.join('+') || '-').join(' '),
    internal_port: Number(service['internal_port']),
  }
}
