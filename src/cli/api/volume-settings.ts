import { Command } from 'commander'
import type { Snapshot, VolumesClient } from '#flaps-client'
import { renderTable } from '../table.ts'
import { type AppCommandOptions, type AppSession, appCommand, withApp } from './app-command.ts'
import type { Print } from './connection.ts'
import { ApiInputError } from './input-error.ts'
import { ago } from './machine-table.ts'
import { wholeNumber } from './whole-number.ts'

/** `volumes show`, `update`, `fork` and `snapshots`. */
export const volumeCommands = (print: Print): Command[] => [
  showCommand(print),
  updateCommand(print),
  forkCommand(print),
  new Command('snapshots')
    .alias('snapshot')
    .summary('what a volume held at some time')
    .addCommand(snapshotListCommand(print))
    .addCommand(snapshotCreateCommand(print)),
]

const volumesOf = ({ client, app }: AppSession): VolumesClient => client.volumes(app)

function showCommand(print: Print): Command {
  return appCommand('show', 'show one volume', ['volumes show vol_123 -a web'])
    .argument('<id>')
    .action((id: string, options: AppCommandOptions) =>
      withApp(options, async (session) => {
        const volume = await volumesOf(session).get(id)
        print(options.json ? `${JSON.stringify(volume)}\n` : facts(volume))
      }),
    )
}

type ShownVolume = Awaited<ReturnType<VolumesClient['get']>>

const facts = (volume: ShownVolume) =>
  renderTable([
    ['ID', volume.id],
    ['Name', volume.name],
    ['State', volume.state],
    ['Size', `${volume.size_gb}GB`],
    ['Region', volume.region],
    ['Host', volume.host_status === 'ok' ? (volume.zone ?? '') : volume.host_status],
    ['Machine', volume.attached_machine_id ?? ''],
    ['Encrypted', volume.encrypted ? 'yes' : 'no'],
    ['Snapshots', snapshotsText(volume)],
    ['Created', volume.created_at],
  ])

function snapshotsText({ auto_backup_enabled: isDaily, snapshot_retention: days }: ShownVolume) {
  const kept = days === undefined ? '' : `, kept ${days} days`
  return `${isDaily === false ? 'only when asked' : 'every day'}${kept}`
}

interface UpdateOptions extends AppCommandOptions {
  readonly snapshotRetention?: number
  readonly scheduledSnapshots?: string
}

function updateCommand(print: Print): Command {
  return appCommand('update', 'change how a volume is backed up', [
    'volumes update vol_123 --snapshot-retention 14 -a web',
    'volumes update vol_123 --scheduled-snapshots=false -a web',
  ])
    .argument('<id>')
    .option('--snapshot-retention <days>', 'how long snapshots are kept, 1 to 60', wholeNumber)
    .option('--scheduled-snapshots <yes>', 'true: one every day; false: only when asked')
    .action((id: string, options: UpdateOptions) =>
      withApp(options, async (session) => {
        const { snapshotRetention: days, scheduledSnapshots: daily } = options
        if (days === undefined && daily === undefined) throw nothingNamed()
        const volume = await volumesOf(session).update(id, {
          ...(days === undefined ? {} : { snapshot_retention: days }),
          ...(daily === undefined ? {} : { auto_backup_enabled: flagOf(daily) }),
        })
        print(options.json ? `${JSON.stringify(volume)}\n` : facts(volume))
      }),
    )
}

const nothingNamed = () =>
  new ApiInputError('cli.bad_value', {
    what: 'nothing to change was named',
    fix: 'give --snapshot-retention or --scheduled-snapshots; `godwit volumes extend` changes the size',
  })

function flagOf(text: string): boolean {
  if (text === 'true' || text === 'false') return text === 'true'
  throw new ApiInputError('cli.bad_value', {
    what: 'neither true nor false',
    values: { value: text },
    fix: 'write --scheduled-snapshots=true or =false',
  })
}

interface ForkOptions extends AppCommandOptions {
  readonly name?: string
  readonly size?: number
}

function forkCommand(print: Print): Command {
  return appCommand('fork', 'make a volume that holds what another one does now', [
    'volumes fork vol_123 -a web',
    'volumes fork vol_123 --name copy -s 20 -a web',
  ])
    .argument('<id>')
    .option('-n, --name <name>', "default: the volume's")
    .option('-s, --size <gb>', "at least the volume's", wholeNumber)
    .action((id: string, options: ForkOptions) =>
      withApp(options, async (session) => {
        const old = await volumesOf(session).get(id)
        const made = await volumesOf(session).create({
          ...{ name: options.name ?? old.name, region: old.region },
          ...{ size_gb: options.size ?? old.size_gb, source_volume_id: old.id },
        })
        print(options.json ? `${JSON.stringify(made)}\n` : `${made.id} holds what ${old.id} does\n`)
      }),
    )
}

function snapshotListCommand(print: Print): Command {
  return appCommand('list', 'show the snapshots of a volume', [
    'volumes snapshots list vol_123 -a web',
  ])
    .alias('ls')
    .argument('<id>', 'of the volume')
    .action((id: string, options: AppCommandOptions) =>
      withApp(options, async (session) => {
        const all = await volumesOf(session).snapshots(id)
        if (options.json) return print(`${JSON.stringify(all)}\n`)
        if (all.length > 0) return print(snapshotTable(all))
        print(`${id} has no snapshots\nnext: godwit volumes snapshots create ${id}\n`)
      }),
    )
}

const snapshotTable = (all: readonly Snapshot[]) =>
  renderTable([
    ['ID', 'STATUS', 'SIZE', 'KEPT', 'CREATED'],
    ...all.map((one) => [
      one.id,
      one.status,
      `${Math.ceil(one.size / 1e6)}MB`,
      `${one.retention_days}d`,
      ago(one.created_at),
    ]),
  ])

function snapshotCreateCommand(print: Print): Command {
  return appCommand('create', 'begin to take a snapshot of a volume', [
    'volumes snapshots create vol_123 -a web',
  ])
    .argument('<id>', 'of the volume')
    .action((id: string, options: AppCommandOptions) =>
      withApp(options, async (session) => {
        await volumesOf(session).createSnapshot(id)
        if (options.json) return print(`${JSON.stringify({ volume: id })}\n`)
        print(`a snapshot of ${id} is being taken\nnext: godwit volumes snapshots list ${id}\n`)
      }),
    )
}
