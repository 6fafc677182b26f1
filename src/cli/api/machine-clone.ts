import { type Command, Option } from 'commander'
import type { Machine, MachineConfig, MachineMount, Volume } from '#flaps-client'
import { type AppCommandOptions, type AppSession, appCommand, withApp } from './app-command.ts'
import { listOf, words } from './changed-config.ts'
import type { Print } from './connection.ts'
import { ApiInputError } from './input-error.ts'
import { machineOf } from './machine-argument.ts'
import { untilRuns } from './machine-create.ts'
import { guestOf } from './machine-guest.ts'
import { type MachineSettings, withSize } from './machine-settings.ts'

interface CloneOptions extends AppCommandOptions, MachineSettings {
  readonly region?: string
  readonly name?: string
  readonly overrideCmd?: string
  readonly clearCmd?: boolean
  readonly clearAutoDestroy?: boolean
  readonly processGroup?: string
  readonly attachVolume?: string
  readonly fromSnapshot?: string
  readonly detach?: boolean
  readonly skipHealthChecks?: boolean
  readonly waitTimeout: string
}

/** `machine clone`: another machine like one that is there. */
export function machineCloneCommand(print: Print): Command {
  const command = appCommand('clone', 'make another machine like this one', [
    'machine clone 148ed599c14189 -a web --region nrt',
    'machine clone 148ed599c14189 -a db --from-snapshot last',
    'machine clone 148ed599c14189 -a db --attach-volume vol_123:/data',
    'machine clone 148ed599c14189 -a worker --standby-for source',
  ])
    .description(
      'Makes another machine like this one: the same image by its digest, configuration and size. A machine with a volume gets ' +
        'a new, empty one of the same name and size, or what --from-snapshot and --attach-volume say.',
    )
    .argument('[id]', 'of the machine; asked for, when it is left out')
    .option('-r, --region <code>', "where; default: the machine's")
    .option('-n, --name <name>', 'unique in the app')
  return withSize(command)
    .option('--override-cmd <line>', 'what it runs instead')
    .option('--clear-cmd', 'run what the image says')
    .option('--clear-auto-destroy', 'keep it when it ends')
    .option('--process-group <name>', 'which it belongs to')
    .option(
      '--standby-for <ids>',
      'leave it stopped until the host of these is gone; `source`: of the machine itself',
    )
    .addOption(
      new Option('--attach-volume <id>', 'this volume, or ID:/PATH').conflicts('fromSnapshot'),
    )
    .option('--from-snapshot <id>', "fill the new volume from it; `last`: the volume's newest")
    .option('-d, --detach', 'do not wait until it has started')
    .option('--skip-health-checks', 'do not wait until its checks pass')
    .option('--wait-timeout <time>', 'to start, and again to be healthy: 90, 5m, none', '5m')
    .action((id: string | undefined, options: CloneOptions) =>
      withApp(options, (session) => clone(session, id, options, print)),
    )
}

async function clone(
  session: AppSession,
  id: string | undefined,
  options: CloneOptions,
  print: Print,
): Promise<void> {
  const source = await machineOf(session, id)
  const region = options.region ?? source.region
  const config = await configOf(source, options)
  const { mounts, made } = await mountsOf(session, source, { region, guest: config.guest, options })
  if (made !== undefined && !options.json)
    print(`made volume ${made.id} (${made.name}) in ${made.region}\n`)
  const skipLaunch = (config.standbys ?? []).length > 0
  const machine = await session.machines
    .create({
      config: { ...config, ...(mounts.length === 0 ? {} : { mounts }) },
      region,
      skip_launch: skipLaunch,
      ...(options.name === undefined ? {} : { name: options.name }),
    })
    .catch(async (error: unknown) => {
      if (made !== undefined) await takeBack(session, made)
      throw error
    })
  if (!options.json)
    print(`made ${machine.id} (${machine.name}) in ${machine.region}, like ${source.id}\n`)
  if (!skipLaunch && !options.detach) await untilRuns(session, machine, options)
  const now = await session.machines.get(machine.id)
  print(options.json ? `${JSON.stringify(now)}\n` : `${now.id} is ${now.state}\n`)
}

/** It was made for a machine that there is not. */
async function takeBack({ client, app }: AppSession, { id }: Volume): Promise<void> {
  try {
    await client.volumes(app).destroy(id)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    process.stderr.write(
      `warning: volume ${id} is left over (${why}): godwit volumes destroy ${id} -a ${app}\n`,
    )
  }
}

async function configOf(source: Machine, options: CloneOptions): Promise<MachineConfig> {
  const { overrideCmd, clearCmd, clearAutoDestroy, processGroup, standbyFor } = options
  const { mounts: _, standbys: __, ...config } = source.config ?? source.incomplete_config ?? {}
  const { cmd, ...init } = (config['init'] ?? {}) as Record<string, unknown>
  const command = overrideCmd === undefined ? cmd : await words('override-cmd', overrideCmd)
  const group = processGroup === undefined ? {} : { fly_process_group: processGroup }
  const standbys = listOf(standbyFor ?? '').map((one) => (one === 'source' ? source.id : one))
  return {
    ...config,
    image: imageOf(source) ?? config.image ?? '',
    guest: await guestOf(config.guest, options),
    init: { ...init, ...(clearCmd || command === undefined ? {} : { cmd: command }) },
    metadata: { ...config.metadata, ...group },
    ...(clearAutoDestroy ? { auto_destroy: false } : {}),
    ...(standbys.length === 0 ? {} : { standbys }),
  }
}

/** By its digest: the tag may stand for another image by now. */
function imageOf({ image_ref: ref }: Machine): string | undefined {
  const { registry = '', repository = '', tag = '', digest = '' } = ref
  if (registry === '' || repository === '' || digest === '') return undefined
  return `${registry}/${repository}${tag === '' ? '' : `:${tag}`}@${digest}`
}

interface Place {
  readonly region: string
  readonly guest: MachineConfig['guest']
  readonly options: CloneOptions
}

async function mountsOf(
  session: AppSession,
  source: Machine,
  { region, guest, options }: Place,
): Promise<{ mounts: readonly MachineMount[]; made?: Volume }> {
  const { attachVolume, fromSnapshot } = options
  const [mount] = (source.config ?? source.incomplete_config)?.mounts ?? []
  if (attachVolume !== undefined) {
    const [volume = '', path = mount?.path] = attachVolume.split(':')
    if (path === undefined) throw noPath(source.id, attachVolume)
    return { mounts: [{ ...mount, volume, path }] }
  }
  if (mount === undefined) {
    if (fromSnapshot === undefined) return { mounts: [] }
    throw new ApiInputError('cli.bad_value', {
      what: '--from-snapshot is about a volume, and this machine has none',
      values: { machine: source.id },
      fix: 'leave it out',
    })
  }
  const { client, app } = session
  const volumes = await client.volumes(app).list()
  const old = volumes.find(({ id }) => id === mount.volume)
  if (old === undefined) {
    throw new ApiInputError('cli.failed', {
      what: 'the volume of this machine is not known',
      values: { machine: source.id, volume: mount.volume },
      fix: 'name one with --attach-volume; `godwit volumes list` shows them',
    })
  }
  const snapshot = await snapshotOf(session, old, fromSnapshot)
  const made = await client.volumes(app).create({
    ...{ name: old.name, region, size_gb: old.size_gb },
    ...(guest === undefined ? {} : { compute: guest }),
    ...(snapshot === undefined ? {} : { snapshot_id: snapshot }),
  })
  const { volume: _, name: __, ...rest } = mount
  return { mounts: [{ ...rest, volume: made.id }], made }
}

/** @throws ApiInputError cli.failed: there is none to fill it from */
async function snapshotOf(
  { client, app }: AppSession,
  { id }: Volume,
  wanted: string | undefined,
): Promise<string | undefined> {
  if (wanted !== 'last') return wanted
  const all = await client.volumes(app).snapshots(id)
  const taken = all.filter(({ status }) => status === 'created')
  const newest = taken.sort((a, b) => (a.created_at < b.created_at ? 1 : -1))[0]
  if (newest !== undefined) return newest.id
  throw new ApiInputError('cli.failed', {
    what: 'this volume has no snapshot',
    values: { volume: id },
    fix: `take one: godwit volumes snapshots create ${id} -a ${app}; or leave --from-snapshot out for an empty volume`,
  })
}

const noPath = (machine: string, value: string) =>
  new ApiInputError('cli.bad_value', {
    what: 'where is the volume mounted? this machine has none to take that from',
    values: { machine, value },
    fix: 'write it as --attach-volume vol_123:/data',
  })
