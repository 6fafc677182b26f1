import { Command } from 'commander'
import type { DeviceUsage } from '#volume'
import { stateDirOption } from './local-options.ts'
import { sizeText } from './progress.ts'
import { renderTable } from './table.ts'

const PREFIX = 'volume-'

/** `godwit local volumes` */
export function localVolumesCommand(): Command {
  return new Command('volumes')
    .description('list the volumes, or destroy some')
    .addOption(stateDirOption())
    .option('--destroy <name...>', 'remove these, with all that is on them')
    .option('--json', 'print them as JSON')
    .action(async (flags: { stateDir: string; destroy?: string[]; json?: true }) => {
      const [{ LocalMachines }, { parseDeviceId }] = await Promise.all([
        import('#local'),
        import('#volume'),
      ])
      const machines = await LocalMachines.open(flags.stateDir)
      const driver = await machines.host.driver()
      for (const name of flags.destroy ?? []) await driver.remove(parseDeviceId(PREFIX + name))
      const all = await driver.listUsage()
      const volumes = all.filter(({ id }) => id.startsWith(PREFIX))
      if (flags.json) process.stdout.write(`${JSON.stringify(volumes.map(volumeJson), null, 2)}\n`)
      else
        process.stdout.write(
          renderTable([['NAME', 'SIZE', 'USED', 'MACHINE'], ...volumes.map(row)]),
        )
    })
    .addHelpText(
      'after',
      '\nExamples:\n  $ godwit local volumes\n  $ godwit local volumes --destroy data',
    )
}

const nameOf = ({ id }: DeviceUsage) => id.slice(PREFIX.length)

const row = (volume: DeviceUsage) => [
  nameOf(volume),
  sizeText(volume.sizeBytes),
  sizeText(volume.mappedBytes),
  volume.holders.map(({ holder }) => holder).join(' '),
]

const volumeJson = (volume: DeviceUsage) => ({
  name: nameOf(volume),
  size_bytes: volume.sizeBytes,
  used_bytes: volume.mappedBytes,
  machines: volume.holders.map(({ holder }) => holder),
})
