import type { Command } from 'commander'
import type { LaunchInput, Machine, MachineConfig } from '#flaps-client'
import { type AppCommandOptions, type AppSession, appCommand, withApp } from './app-command.ts'
import { changedConfig } from './changed-config.ts'
import type { Print } from './connection.ts'
import { DeployProgress } from './deploy-progress.ts'
import { imageForMachine } from './image-argument.ts'
import { ApiInputError } from './input-error.ts'
import { type MachineSettings, withSettings } from './machine-settings.ts'
import { waitMs } from './wait-time.ts'

interface CreateOptions extends AppCommandOptions, MachineSettings {
  readonly region?: string
  readonly name?: string
  readonly volume?: string
  readonly rm?: boolean
  readonly wait?: boolean
  readonly detach?: boolean
  readonly skipHealthChecks?: boolean
  readonly waitTimeout: string
}

/** `machine run` and `machine create`. */
export const machineCreateCommands = (print: Print): Command[] => [
  created('run', 'make a machine of an image and start it', false, print),
  created('create', 'make a machine of an image, and leave it stopped', true, print),
]

function created(name: string, summary: string, skipLaunch: boolean, print: Print): Command {
  const command = appCommand(name, summary, [
    `machine ${name} nginx:1.27 -a web -p 443:80/tcp:tls:http -p 80/tcp:http`,
    `machine ${name} registry.example/job@sha256:... -a web --rm --restart no -- work --once`,
    `machine ${name} ./web.tar -a web --file-local /etc/app.conf=./app.conf`,
  ])
    .argument('<image>', 'a reference, or a path to an archive')
    .argument('[command...]', "instead of the image's")
    .option('-r, --region <code>', 'where; default: near this API')
    .option('-n, --name <name>', 'unique in the app')
    .option('-v, --volume <id:path>', 'a volume and where it is mounted')
  withSettings(command).option('--rm', 'destroy it when it ends')
  if (!skipLaunch) {
    command
      .option('-d, --detach', 'do not wait until it has started')
      .option('--no-wait', 'the same')
      .option('--skip-health-checks', 'do not wait until its checks pass')
      .option('--wait-timeout <time>', 'to start, and again to be healthy: 90, 5m, none', '5m')
  }
  return command.action((image: string, words: string[], options: CreateOptions) =>
    withApp(options, async (session) => {
      const named = await imageForMachine(session, image, options.json === true)
      const machine = await session.machines.create({
        config: await configOf(named, words, options),
        skip_launch: skipLaunch || isStandby(options),
        ...placeOf(options),
      })
      if (options.wait !== false && !options.detach && !skipLaunch && !isStandby(options)) {
        if (!options.json)
          print(`made ${machine.id} (${machine.name}) in ${machine.region}; starting\n`)
        await untilRuns(session, machine, options)
      }
      const now = await session.machines.get(machine.id)
      if (options.json) return print(`${JSON.stringify(now)}\n`)
      print(`${now.id} is ${now.state}\n  private address ${now.private_ip}\n`)
    }),
  )
}

const isStandby = ({ standbyFor = '' }: Pick<MachineSettings, 'standbyFor'>) => standbyFor !== ''

const placeOf = ({ region, name }: CreateOptions): Partial<LaunchInput> => ({
  ...(region === undefined ? {} : { region }),
  ...(name === undefined ? {} : { name }),
})

/** Waits until a machine that was just made has started, and is healthy. @throws DeployError, ApiError */
export async function untilRuns(
  { machines }: AppSession,
  machine: Machine,
  {
    json,
    skipHealthChecks,
    waitTimeout,
  }: {
    readonly json?: boolean
    readonly skipHealthChecks?: boolean
    readonly waitTimeout: string
  },
): Promise<void> {
  const { watchOne } = await import('#deploy')
  const progress = new DeployProgress(json === true)
  try {
    const tell = progress.tell.bind(progress)
    const waits = { machineMs: waitMs(waitTimeout) }
    await watchOne(machine, { skipChecks: skipHealthChecks === true }, { machines, tell, waits })
  } finally {
    progress.end()
  }
}

async function configOf(
  image: string,
  command: readonly string[],
  options: CreateOptions,
): Promise<MachineConfig> {
  const { volume, rm, restart } = options
  const config = await changedConfig({ image }, options)
  const init = { ...(config['init'] as object), ...(command.length === 0 ? {} : { cmd: command }) }
  return {
    ...config,
    init,
    ...(volume === undefined ? {} : { mounts: [mountOf(volume)] }),
    ...(rm ? { auto_destroy: true, restart: { policy: restart ?? 'no' } } : {}),
  }
}

export function mountOf(text: string) {
  const [, volume, path] = /^(vol_[0-9a-z]+):(\/.+)$/.exec(text) ?? []
  if (volume !== undefined && path !== undefined) return { volume, path }
  throw new ApiInputError('cli.bad_value', {
    what: 'not a volume and a path',
    values: { value: text },
    fix: 'write it as vol_123:/data; `godwit volumes list` shows the ids',
  })
}
