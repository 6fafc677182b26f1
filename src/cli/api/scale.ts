import { Command } from 'commander'
import type { AppConfig } from '#app-config'
import type { ScalePlan } from '#deploy'
import type { Machine } from '#flaps-client'
import { renderTable } from '../table.ts'
import { type AppCommandOptions, type AppSession, appCommand, withApp } from './app-command.ts'
import { confirmed } from './confirm.ts'
import { type Print, printOut } from './connection.ts'
import { platformOf } from './deploy.ts'
import { DeployProgress } from './deploy-progress.ts'
import { ApiInputError } from './input-error.ts'
import { memoryText } from './machine-guest.ts'
import { sizeText } from './machine-table.ts'
import { wholeNumber } from './whole-number.ts'

/** `godwit scale`: how many machines an app has, and how large they are. */
export function scaleCommand(print: Print = printOut): Command {
  return new Command('scale')
    .summary('how many machines an app has, and how large they are')
    .addCommand(showCommand(print))
    .addCommand(countCommand(print))
    .addCommand(vmCommand(print))
    .addCommand(memoryCommand(print))
}

function showCommand(print: Print): Command {
  return appCommand('show', 'show the machines of each process group', [
    'scale show -a web',
  ]).action((options: AppCommandOptions) =>
    withApp(options, async ({ machines, app }) => {
      const groups = groupsOf(await machines.list())
      if (options.json) return print(`${JSON.stringify(groups)}\n`)
      if (groups.length === 0) return print(`${app} has no machines\nnext: godwit deploy\n`)
      print(
        renderTable([
          ['GROUP', 'COUNT', 'SIZE', 'REGIONS'],
          ...groups.map(({ group, count, size, regions }) => [
            group,
            `${count}`,
            size,
            Object.entries(regions)
              .map(([region, there]) => (there === 1 ? region : `${region}(${there})`))
              .join(' '),
          ]),
        ]),
      )
    }),
  )
}

function groupsOf(machines: readonly Machine[]) {
  const nameOf = ({ config, incomplete_config: other }: Machine) =>
    (config ?? other)?.metadata?.['fly_process_group'] ?? 'app'
  return [...Map.groupBy(machines, nameOf)].sort().map(([group, own]) => ({
    group,
    count: own.length,
    size: [...new Set(own.map(sizeText))].join(', '),
    regions: Object.fromEntries(
      [...Map.groupBy(own, ({ region }) => region)].sort().map(([code, all]) => [code, all.length]),
    ),
  }))
}

interface CountOptions extends AppCommandOptions {
  readonly region?: string
  readonly maxPerRegion?: number
  readonly processGroup?: string
  readonly yes?: boolean
}

function countCommand(print: Print): Command {
  return appCommand('count', 'make machines, or destroy some, until there are so many', [
    'scale count 3 -a web',
    'scale count 6 --region ams,iad,nrt --yes',
    'scale count web=4 worker=1',
  ])
    .argument('<count...>', 'a number, or GROUP=NUMBER for several process groups')
    .option('-r, --region <codes>', 'where; machines elsewhere are left alone')
    .option('--max-per-region <n>', 'not more than so many in one region', wholeNumber)
    .option('--process-group <name>', 'that a plain number is for; default: app')
    .option('-y, --yes', 'do not ask')
    .action((words: string[], options: CountOptions) =>
      withApp(options, async (session) => {
        const { scaleCount } = await import('#deploy')
        const plan = await planOf(session, words, options)
        const { creates, destroys } = plan
        if (destroys.length > 0) {
          const gone = destroys.map(({ id, region }) => `${id} (${region})`).join(', ')
          await confirmed(`destroy ${gone}?`, options.yes === true)
        }
        const progress = new DeployProgress(options.json === true)
        try {
          const tell = progress.tell.bind(progress)
          await scaleCount(plan, { platform: platformOf(session), tell })
        } finally {
          progress.end()
        }
        const groups = groupsOf(await session.machines.list())
        if (options.json) return print(`${JSON.stringify(groups)}\n`)
        print(`${creates.length} made, ${destroys.length} destroyed\n`)
      }),
    )
}

async function planOf(
  { client, app, machines }: AppSession,
  words: readonly string[],
  options: CountOptions,
): Promise<ScalePlan> {
  const { planScale } = await import('#deploy')
  const { localFiles } = await import('../local-files.ts')
  const { region: regions, maxPerRegion, config } = options
  const [all, volumes, release] = await Promise.all([
    machines.list(),
    client.volumes(app).list(),
    client.releases(app).current(),
  ])
  const definition = release?.definition as AppConfig | undefined
  return planScale({
    machines: all,
    volumes,
    counts: countsOf(words, options.processGroup ?? 'app'),
    region: definition?.primary_region ?? (await client.nearestRegion()),
    readLocalFile: localFiles(config ?? '.'),
    ...(regions === undefined ? {} : { regions: regions.split(',').map((one) => one.trim()) }),
    ...(maxPerRegion === undefined ? {} : { maxPerRegion }),
    ...(release === undefined || definition === undefined
      ? {}
      : { deployed: { config: definition, image: release.image_ref, release } }),
  })
}

/** `3`, or `web=2 worker=1`. @throws ApiInputError cli.bad_value */
export function countsOf(words: readonly string[], group: string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const word of words) {
    const [, name = group, number = ''] = /^(?:([\w-]+)=)?(\d{1,4})$/.exec(word) ?? []
    if (number === '' || counts.has(name)) {
      throw new ApiInputError('cli.bad_value', {
        what: number === '' ? 'not a number of machines' : 'the same process group twice',
        values: { value: word },
        fix: 'write a number, or as in web=2 worker=1',
      })
    }
    counts.set(name, Number(number))
  }
  return counts
}

interface SizeOptions extends AppCommandOptions {
  readonly processGroup?: string
  readonly vmMemory?: string
}

function vmCommand(print: Print): Command {
  return appCommand('vm', 'give machines another size', [
    'scale vm shared-cpu-2x -a web',
    'scale vm performance-2x --vm-memory 8gb --process-group worker',
  ])
    .argument('<size>', '`godwit platform vm-sizes` lists them')
    .option('--vm-memory <size>', 'more memory than that size has')
    .option('--process-group <name>', 'only its machines')
    .action((size: string, options: SizeOptions) =>
      resize({ size, ...memoryOf(options.vmMemory) }, options, print),
    )
}

function memoryCommand(print: Print): Command {
  return appCommand('memory', 'give machines other memory', ['scale memory 1gb -a web'])
    .argument('<size>', 'in MB, or as 512mb, 2gb')
    .option('--process-group <name>', 'only its machines')
    .action((size: string, options: SizeOptions) => resize(memoryOf(size), options, print))
}

const memoryOf = (text: string | undefined) =>
  text === undefined ? {} : { memory: memoryText(text) }

async function resize(
  wanted: { size?: string; memory?: string },
  options: SizeOptions,
  print: Print,
): Promise<void> {
  const { guestOfVm } = await import('#app-config')
  const { scaleGuest } = await import('#deploy')
  const guest = guestOfVm(wanted)
  if ('what' in guest) {
    throw new ApiInputError('cli.bad_value', {
      what: `${guest.key} ${guest.what}`,
      fix: '`godwit platform vm-sizes` lists the sizes that there are',
    })
  }
  const { memory_mb: memory, cpus, cpu_kind: kind } = guest
  const size = wanted.size === undefined ? {} : { cpus, cpu_kind: kind }
  const change = { ...size, memory_mb: memory }
  const groups = options.processGroup === undefined ? undefined : [options.processGroup]
  await withApp(options, async (session) => {
    const progress = new DeployProgress(options.json === true)
    try {
      const tell = progress.tell.bind(progress)
      const changed = await scaleGuest(change, groups, { platform: platformOf(session), tell })
      if (options.json) return print(`${JSON.stringify({ changed, guest: change })}\n`)
      print(
        changed === 0 ? 'no machine to change\n' : `${changed} machines have ${sizeOf(change)}\n`,
      )
    } finally {
      progress.end()
    }
  })
}

const sizeOf = (change: object) =>
  Object.entries(change)
    .map(([key, value]) => `${key} ${value}`)
    .join(', ')
