import { Command } from 'commander'
import { createLog, firstOf } from '#base'

const CONFIG_FILE = '/etc/godwit/flaps.toml'

/** `godwit flaps`: the Machines API. */
export function flapsCommand(
  print: (text: string) => void = (text) => void process.stdout.write(text),
): Command {
  return new Command('flaps')
    .summary('the Machines API')
    .description('The Machines API of this version; docs/machines-api.md shows how to use it.')
    .addCommand(runCommand())
    .addCommand(openApiCommand(print))
}

function runCommand(): Command {
  return new Command('run')
    .summary('serve the Machines API until told to stop')
    .description(
      'Serves the Machines API in the foreground. SIGTERM and SIGINT end it, after changes that are under way.',
    )
    .option('-c, --config <file>', 'the configuration file', CONFIG_FILE)
    .action(async ({ config }: { config: string }) => {
      const { loadFlapsConfig, openFlaps } = await import('#flaps')
      const { webApiOver } = await import('#web-api')
      const log = createLog({ part: 'flaps' })
      const stop = new Promise<void>((resolve) => {
        process.once('SIGTERM', () => resolve()).once('SIGINT', () => resolve())
      })
      await using running = await openFlaps(loadFlapsConfig(config), {
        ...{ log, extend: (opened) => [webApiOver(opened)] },
      })
      await firstOf(stop, running.moved)
    })
    .addHelpText('after', `\nExample:\n  $ godwit flaps run --config flaps.toml`)
}

function openApiCommand(print: (text: string) => void): Command {
  const summary = 'print the OpenAPI document of the Machines API'
  return new Command('openapi')
    .summary(summary)
    .description(summary)
    .action(async () => {
      const { allEndpoints, openApiDocument } = await import('#flaps')
      print(`${JSON.stringify(openApiDocument(allEndpoints), null, 2)}\n`)
    })
    .addHelpText(
      'after',
      `
Examples:
  $ godwit flaps openapi > openapi.json
  $ godwit flaps openapi | jq '.paths | keys'`,
    )
}
