import { Command } from 'commander'
import { renderTable } from '../table.ts'
import {
  type ConnectionOptions,
  connect,
  type Print,
  printOut,
  withConnection,
} from './connection.ts'

/** `godwit platform`: what the platform offers. */
export function platformCommand(print: Print = printOut): Command {
  return new Command('platform')
    .summary('what the platform offers')
    .addCommand(regionsCommand(print))
    .addCommand(
      new Command('vm-sizes')
        .summary('sizes of machines')
        .description('Sizes of machines that have a name. Asks no server.')
        .option('-j, --json', 'print JSON')
        .addHelpText('after', '\nExample:\n  $ godwit platform vm-sizes')
        .action(async ({ json }: { json?: boolean }) => {
          const { presetNames, presetOf } = await import('#app-config')
          const sizes = presetNames().map((name) => ({ name, ...presetOf(name) }))
          if (json) return print(`${JSON.stringify(sizes)}\n`)
          const rows = sizes.map(({ name, cpus, memory_mb: memory }) => [
            name,
            `${cpus}`,
            `${memory} MiB`,
          ])
          print(renderTable([['NAME', 'CPUS', 'MEMORY'], ...rows]))
        }),
    )
}

/** `godwit platform regions`, and `godwit regions`. */
export function regionsCommand(print: Print = printOut): Command {
  return withConnection(
    new Command('regions')
      .summary('where machines can run')
      .description('Where machines can run.')
      .argument('[list]')
      .option('-j, --json', 'print JSON'),
  )
    .addHelpText('after', '\nExample:\n  $ godwit platform regions')
    .action(async (_list: string | undefined, options: ConnectionOptions & { json?: boolean }) => {
      using client = await connect(options)
      const regions = await client.regions()
      if (options.json) return print(`${JSON.stringify(regions)}\n`)
      const rows = regions.map(({ code, name, latitude, longitude }) => [
        code,
        name,
        `${latitude}, ${longitude}`,
      ])
      print(renderTable([['CODE', 'NAME', 'LATITUDE, LONGITUDE'], ...rows]))
    })
}
