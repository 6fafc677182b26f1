import { Command } from 'commander'
import { allEndpoints, openApiDocument } from '#flaps'

/** `godwit flaps`: the Machines API. */
export function flapsCommand(
  print: (text: string) => void = (text) => void process.stdout.write(text),
): Command {
  return new Command('flaps')
    .summary('the Machines API')
    .description('The Machines API of this version; docs/machines-api.md shows how to use it.')
    .addCommand(openApiCommand(print))
}

function openApiCommand(print: (text: string) => void): Command {
  const summary = 'print the OpenAPI document of the Machines API'
  return new Command('openapi')
    .summary(summary)
    .description(summary)
    .action(() => print(`${JSON.stringify(openApiDocument(allEndpoints), null, 2)}\n`))
    .addHelpText(
      'after',
      `
Examples:
  $ godwit flaps openapi > openapi.json
  $ godwit flaps openapi | jq '.paths | keys'`,
    )
}
