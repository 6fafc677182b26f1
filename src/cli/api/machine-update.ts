import type { Command } from 'commander'
import type { Machine, MachineConfig } from '#flaps-client'
import { type AppCommandOptions, type AppSession, appCommand, withApp } from './app-command.ts'
import { changedConfig } from './changed-config.ts'
import { differences, differenceText } from './config-difference.ts'
import { confirmed } from './confirm.ts'
import type { Print } from './connection.ts'
import { DeployProgress } from './deploy-progress.ts'
import { imageForMachine } from './image-argument.ts'
import { ApiInputError } from './input-error.ts'
import { machineOf } from './machine-argument.ts'
import { type MachineSettings, withSettings } from './machine-settings.ts'
import { waitMs } from './wait-time.ts'

interface UpdateOptions extends AppCommandOptions, MachineSettings {
  readonly image?: string
  readonly mountPoint?: string
  readonly skipStart?: boolean
  readonly skipHealthChecks?: boolean
  readonly detach?: boolean
  readonly waitTimeout: string
  readonly yes?: boolean
}

/** `machine update`: one machine gets another configuration. */
export function machineUpdateCommand(print: Print): Command {
  const command = appCommand('update', 'change what a machine is, and start that', [
    'machine update 148ed599c14189 -a web --image nginx:1.28',
    'machine update 148ed599c14189 -a web -e LEVEL=debug --vm-memory 1gb --yes',
    'machine update 148ed599c14189 -a web -p 443:8080/tcp:tls:http --autostop=suspend',
    'machine update 148ed599c14189 -a web --machine-config \'{"stop_config": {"timeout": "30s"}}\'',
  ])
    .description(
      'Changes what a machine is, and starts that: what no option names stays as it is. Shows what would change, and asks. ' +
        'A machine that does not run gets the change and stays at rest. The next deploy of the app writes over it.',
    )
    .argument('[id]', 'of the machine; asked for, when it is left out')
  return withSettings(command)
    .option('-i, --image <reference>', 'what to run: a reference, or a path to an archive')
    .option('-C, --command <line>', 'what it runs instead of the command of the image')
    .option('--mount-point <path>', 'where its volume is mounted')
    .option('--skip-start', 'leave it stopped')
    .option('--skip-health-checks', 'do not wait until its checks pass')
    .option('--detach', 'do not wait at all')
    .option('--wait-timeout <time>', 'to start, and again to be healthy: 90, 5m, none', '5m')
    .option('-y, --yes', 'do not ask')
    .action((id: string | undefined, options: UpdateOptions) =>
      withApp(options, (session) => update(session, id, options, print)),
    )
}

async function update(
  session: AppSession,
  id: string | undefined,
  options: UpdateOptions,
  print: Print,
): Promise<void> {
  const machine = await machineOf(session, id)
  const before = configOf(machine)
  const image =
    options.image === undefined
      ? before.image
      : await imageForMachine(session, options.image, options.json === true)
  const changed = await changedConfig({ ...before, ...(image && { image }) }, options)
  const config = withMountPoint(changed, options.mountPoint, machine.id)
  const found = differences(before, config)
  // The same name may stand for another image by now.
  if (found.length === 0 && options.image === undefined) {
    if (options.json) return print(`${JSON.stringify(machine)}\n`)
    return print(`${machine.id} is like that already: nothing was changed\n`)
  }
  if (!options.json) process.stderr.write(differenceText(found))
  await confirmed(`change ${machine.id}?`, options.yes === true, 'the machine would be restarted')
  const now = await updated(session, machine, config, options)
  if (options.json) return print(`${JSON.stringify(now)}\n`)
  print(`${now.id} is ${options.detach ? 'being changed' : `changed, and ${now.state}`}\n`)
  const isLeft = now.state !== 'started' && !options.detach
  if (isLeft) print(`next: godwit machine start ${now.id} -a ${session.app}\n`)
}

async function updated(
  session: AppSession,
  machine: Machine,
  config: MachineConfig,
  options: UpdateOptions,
): Promise<Machine> {
  const { updateOne } = await import('#deploy')
  const { ApiError } = await import('#flaps-client')
  const progress = new DeployProgress(options.json === true)
  try {
    return await updateOne(
      {
        machine,
        config,
        skipLaunch: options.skipStart === true || (config.standbys ?? []).length > 0,
        skipChecks: options.skipHealthChecks === true,
        isDetached: options.detach === true,
      },
      {
        machines: session.machines,
        tell: (event) => progress.tell(event),
        waits: { machineMs: waitMs(options.waitTimeout) },
      },
    )
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'api.conflict') throw error
    throw new ApiInputError('cli.failed', {
      what: 'the machine was not changed: somebody else was first, or its host has no room for it',
      values: { machine: machine.id, says: error.what },
      fix: 'look at it with `godwit machine status`, then try again',
      cause: error,
    })
  } finally {
    progress.end()
  }
}

/** @throws ApiInputError cli.failed: its host does not answer */
export function configOf({ id, config, host_status: host }: Machine): MachineConfig {
  if (config !== undefined && host === 'ok') return config
  throw new ApiInputError('cli.failed', {
    what: 'the host of this machine does not answer, and nothing else can change it',
    values: { machine: id, host },
    fix: 'wait until it is back; `godwit machine clone` and `machine destroy --force` replace a machine without volumes',
  })
}

function withMountPoint(config: MachineConfig, path: string | undefined, id: string) {
  if (path === undefined) return config
  const { mounts = [] } = config
  const [mount] = mounts
  if (mounts.length === 1 && path.startsWith('/'))
    return { ...config, mounts: [{ ...mount, path }] }
  throw new ApiInputError('cli.bad_value', {
    what: path.startsWith('/')
      ? '--mount-point is about a volume, and this machine has none'
      : '--mount-point is no absolute path',
    values: { machine: id, value: path },
    fix: path.startsWith('/')
      ? 'a machine with a volume is made by `godwit machine run --volume` or by [mounts] of fly.toml'
      : 'write it like /data',
  })
}
