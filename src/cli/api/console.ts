import type { Command } from 'commander'
import type { AppConfig } from '#app-config'
import type { Machine, MachineConfig } from '#flaps-client'
import { interruption } from '../interruption.ts'
import { localFiles } from '../local-files.ts'
import { type AppSession, appCommand, withApp } from './app-command.ts'
import { imageForMachine } from './image-argument.ts'
import { ApiInputError } from './input-error.ts'
import { guestOf } from './machine-guest.ts'
import { type MachineSettings, withSize } from './machine-settings.ts'
import { type ConsoleOptions, openConsole } from './ssh.ts'
import { withSshTo } from './ssh-connection.ts'

type Options = ConsoleOptions &
  Pick<MachineSettings, 'vmSize' | 'vmCpus' | 'vmCpuKind' | 'vmMemory' | 'kernelArg'> & {
    readonly image?: string
    readonly env: Readonly<Record<string, string>>
    readonly entrypoint?: string
  }

const WAIT_MS = 300_000
/** A console that nobody ended ends by itself. */
const LASTS_S = 86_400

/** `console`: a shell in a machine that is there for it alone. */
export function consoleCommand(): Command {
  const command = appCommand(
    'console',
    'a shell in a machine that is made for it, and goes after',
    [
      'console -a web',
      "console -a web -C 'bin/rails console'",
      'console -a web --vm-memory 2gb --region nrt',
      'console -a web --machine 148ed599c14189    # in one that runs',
    ],
  )
    .description(
      "A shell in a machine that is made for it of the app's release: its image, environment, secrets and files, but no " +
        'services and no volumes. The machine is destroyed when the shell ends. With --machine: in a machine that runs.',
    )
    .option('--machine <id>', 'in this machine, which runs')
    .option('-r, --region <code>', 'where; default: the primary region')
    .option(
      '-i, --image <reference>',
      "in place of the release's: a reference, or a path to an archive",
    )
    .option('-u, --user <name>', 'who to be in the machine', 'root')
    .option('-C, --command <line>', 'in place of console_command of fly.toml, or a shell')
    .option('-e, --env <NAME=value>', 'environment; repeatable', pair, {})
    .option('--pty', 'give the command a terminal')
    .option('-q, --quiet', 'say nothing of our own')
  return withSize(command).action((options: Options) =>
    withApp(options, (session) => openIn(session, options)),
  )
}

async function openIn(session: AppSession, options: Options): Promise<void> {
  const release = await session.client.releases(session.app).current()
  const config = release?.definition as AppConfig | undefined
  const line = options.command ?? config?.console_command
  const choices = {
    ...options,
    ...(line === undefined ? {} : { command: line, pty: options.pty ?? true }),
  }
  if (options.machine !== undefined) {
    const machine = await session.machines.get(options.machine)
    return await withSshTo(session, machine, options.user, (client) =>
      openConsole(client, machine, choices),
    )
  }
  const image = options.image ?? release?.image_ref
  if (image === undefined) throw neverDeployed(session.app)
  const named = await imageForMachine(session, image, options.quiet === true)
  const signal = interruption()
  const machine = await session.machines.create(
    {
      config: await machineConfig(session, named, config, options),
      region: options.region ?? config?.primary_region ?? (await session.client.nearestRegion()),
    },
    { signal },
  )
  try {
    if (!options.quiet) process.stderr.write(`made ${machine.id} in ${machine.region}; starting\n`)
    await session.machines.wait(machine.id, { states: ['started'], timeoutMs: WAIT_MS }, { signal })
    await withSshTo(session, machine, options.user, (client) =>
      openConsole(client, machine, choices),
    )
  } finally {
    await destroyed(session, machine)
  }
}

async function destroyed({ machines, app }: AppSession, { id }: Machine): Promise<void> {
  try {
    await machines.destroy(id, { force: true })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    process.stderr.write(
      `warning: ${id} is left over (${why}): godwit machine destroy ${id} --force -a ${app}\n`,
    )
  }
}

/** As the machines of the first process group, without what makes them serve. */
async function machineConfig(
  session: AppSession,
  image: string,
  config: AppConfig | undefined,
  options: Options,
): Promise<MachineConfig> {
  const { env, files, guest } = await configLike(session, config, options)
  return {
    image,
    env: { ...env, ...options.env },
    guest: await guestOf(guest, options),
    ...(files === undefined ? {} : { files }),
    init: { exec: ['/bin/sleep', `${LASTS_S}`] },
    auto_destroy: true,
    restart: { policy: 'no' },
    dns: { skip_registration: true },
    metadata: { fly_platform_version: 'v2', fly_process_group: 'fly_app_console' },
  }
}

/** A machine has the files that its configuration names; without one they are read here. */
async function configLike(
  { machines }: AppSession,
  config: AppConfig | undefined,
  options: Options,
): Promise<MachineConfig> {
  const { defaultGroup, groupMachine } = await import('#app-config')
  const group = config === undefined ? 'app' : defaultGroup(config)
  const all = await machines.list()
  const like = all.find(({ config: one }) => one?.metadata?.['fly_process_group'] === group)
  if (like?.config !== undefined) return like.config
  if (config === undefined) return {}
  return groupMachine(config, group, { readLocalFile: localFiles(options.config ?? '.') }).config
}

const neverDeployed = (app: string) =>
  new ApiInputError('cli.no_image', {
    what: `${app} was never deployed: there is no image to make a console of`,
    fix: 'name one with --image, or deploy first',
  })

function pair(one: string, all: Readonly<Record<string, string>>) {
  const at = one.indexOf('=')
  if (at > 0) return { ...all, [one.slice(0, at)]: one.slice(at + 1) }
  throw new ApiInputError('cli.bad_value', {
    what: 'not a name and a value',
    values: { value: one },
    fix: 'write it as NAME=value',
  })
}
