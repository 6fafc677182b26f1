import { Command } from 'commander'
import type { Volume } from '#flaps-client'
import { renderTable } from '../table.ts'
import { type AppCommandOptions, appCommand, withApp } from './app-command.ts'
import { type Print, printOut } from './connection.ts'
import { ago } from './machine-table.ts'
import { volumeCommands } from './volume-settings.ts'
import { wholeNumber } from './whole-number.ts'

/** `godwit volumes`: disks that outlive machines. */
export function volumesCommand(print: Print = printOut): Command {
  const command = new Command('volumes')
    .alias('volume')
    .alias('vol')
    .summary('disks that outlive machines')
    .addCommand(
      appCommand('list', 'show the volumes of an app', ['volumes list -a web']).action(
        (options: AppCommandOptions) =>
          withApp(options, async ({ client, app }) => {
            const volumes = await client.volumes(app).list()
            if (options.json) return print(`${JSON.stringify(volumes)}\n`)
            print(volumes.length === 0 ? `${app} has no volumes\n` : volumeTable(volumes))
          }),
      ),
    )
    .addCommand(
      appCommand('create', 'make a volume', ['volumes create data -r ams -s 10 -a web'])
        .argument('<name>')
        .requiredOption('-r, --region <code>', 'where')
        .option('-s, --size <gb>', 'how large', wholeNumber, 1)
        .option('--snapshot-retention <days>', 'how long snapshots are kept', wholeNumber)
        .option('-y, --yes', 'do not ask; nothing is asked here, scripts for flyctl give it')
        .action(
          (
            name: string,
            options: AppCommandOptions & {
              region: string
              size: number
              snapshotRetention?: number
            },
          ) =>
            withApp(options, async ({ client, app }) => {
              const { region, size, snapshotRetention: days } = options
              const volume = await client.volumes(app).create({
                ...{ name, region, size_gb: size },
                ...(days === undefined ? {} : { snapshot_retention: days }),
              })
              print(options.json ? `${JSON.stringify(volume)}\n` : volumeTable([volume]))
            }),
        ),
    )
    .addCommand(
      appCommand('extend', 'make a volume larger', ['volumes extend vol_123 -s 20 -a web'])
        .argument('<id>')
        .requiredOption('-s, --size <gb>', 'to how much', wholeNumber)
        .action((id: string, options: AppCommandOptions & { size: number }) =>
          withApp(options, async ({ client, app }) => {
            const answer = await client.volumes(app).extend(id, options.size)
            if (options.json) return print(`${JSON.stringify(answer)}\n`)
            print(`${id} has ${answer.volume.size_gb} GB\n`)
            if (answer.needs_restart) print('its machine sees that after a restart\n')
          }),
        ),
    )
    .addCommand(
      appCommand('destroy', 'destroy volumes and all that is on them', [
        'volumes destroy vol_123 -a web --yes',
      ])
        .argument('<id...>')
        .option('-y, --yes', 'do not ask')
        .action((ids: string[], options: AppCommandOptions & { yes?: boolean }) =>
          withApp(options, async ({ client, app }) => {
            const { confirmed } = await import('./confirm.ts')
            await confirmed(
              `destroy ${ids.join(', ')} and all that is on it?`,
              options.yes === true,
            )
            for (const id of ids) {
              await client.volumes(app).destroy(id)
              if (!options.json) print(`${id} is destroyed\n`)
            }
            if (options.json) print(`${JSON.stringify(ids)}\n`)
          }),
        ),
    )
  for (const made of volumeCommands(print)) command.addCommand(made)
  return command
}

const volumeTable = (volumes: readonly Volume[]): string =>
  renderTable([
    ['ID', 'NAME', 'STATE', 'SIZE', 'REGION', 'HOST', 'MACHINE', 'CREATED'],
    ...volumes.map((volume) => [
      volume.id,
      volume.name,
      volume.state,
      `${volume.size_gb}GB`,
      volume.region,
      volume.host_status === 'ok' ? (volume.zone ?? '') : volume.host_status,
      volume.attached_machine_id ?? '',
      ago(volume.created_at),
    ]),
  ])
