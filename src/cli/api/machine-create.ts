import { type Command, Option } from 'commander'
import type { LaunchInput, MachineConfig } from '#flaps-client'
import { type AppCommandOptions, appCommand, withApp } from './app-command.ts'
import type { Print } from './connection.ts'
import { ApiInputError } from './input-error.ts'
import { parsePort } from './port-argument.ts'

const WAIT_MS = 300_000

interface CreateOptions extends AppCommandOptions {
  readonly region?: string
  readonly name?: string
  readonly env: Readonly<Record<string, string>>
  readonly metadata: Readonly<Record<string, string>>
  readonly port: readonly string[]
  readonly volume?: string
  readonly vmSize?: string
  readonly vmCpus?: string
  readonly vmCpuKind?: string
  readonly vmMemory?: string
  readonly restart?: string
  readonly schedule?: string
  readonly entrypoint?: string
  readonly autostop?: string
  readonly autostart?: boolean
  readonly standbyFor?: string
  readonly rm?: boolean
  readonly wait?: boolean
}

/** `machine run` and `machine create`. */
export const machineCreateCommands = (print: Print): Command[] => [
  created('run', 'make a machine of an image and start it', false, print),
  created('create', 'make a machine of an image, and leave it stopped', true, print),
]

function created(name: string, summary: string, skipLaunch: boolean, print: Print): Command {
  return appCommand(name, summary, [
    `machine ${name} nginx:1.27 -a web -p 443:80/tcp:tls:http -p 80/tcp:http`,
    `machine ${name} registry.example/job@sha256:... -a web --rm --restart no -- work --once`,
  ])
    .argument('<image>')
    .argument('[command...]', "instead of the image's")
    .option('-r, --region <code>', 'where; default: near this API')
    .option('-n, --name <name>', 'unique in the app')
    .addOption(pairs('-e, --env <NAME=value>', 'environment; repeatable'))
    .addOption(pairs('-m, --metadata <key=value>', 'metadata; repeatable'))
    .addOption(
      new Option('-p, --port <spec>', 'EXTERNAL[:INTERNAL][/PROTOCOL[:HANDLER...]]; repeatable')
        .argParser((one: string, all: readonly string[]) => [...all, one])
        .default([]),
    )
    .option('-v, --volume <id:path>', 'a volume and where it is mounted')
    .option('--vm-size <preset>', 'such as shared-cpu-1x')
    .option('--vm-cpus <count>', 'virtual CPUs')
    .option('--vm-cpu-kind <kind>', 'shared or performance')
    .option('--vm-memory <size>', 'such as 512mb')
    .option('--restart <policy>', 'no, on-failure or always')
    .option('--schedule <period>', 'hourly, daily, weekly or monthly')
    .option('--entrypoint <command>', "instead of the image's")
    .option('--autostop <how>', 'off, stop or suspend')
    .option('--no-autostart', 'do not start it when requests come')
    .option('--standby-for <ids>', 'start it when the host of these machines is gone')
    .option('--rm', 'destroy it when it ends')
    .option('--no-wait', 'do not wait until it has started')
    .action((image: string, command: string[], options: CreateOptions) =>
      withApp(options, async ({ machines }) => {
        const input = await launchInput(image, command, options, skipLaunch)
        const machine = await machines.create(input)
        if (options.wait && !skipLaunch) {
          if (!options.json)
            print(`made ${machine.id} (${machine.name}) in ${machine.region}; starting\n`)
          await machines.wait(machine.id, { states: ['started'], timeoutMs: WAIT_MS })
        }
        const now = await machines.get(machine.id)
        if (options.json) return print(`${JSON.stringify(now)}\n`)
        print(`${now.id} is ${now.state}\n  private address ${now.private_ip}\n`)
      }),
    )
}

async function launchInput(
  image: string,
  command: readonly string[],
  options: CreateOptions,
  skipLaunch: boolean,
): Promise<LaunchInput> {
  const { region, name } = options
  return {
    config: await configOf(image, command, options),
    skip_launch: skipLaunch,
    ...(region === undefined ? {} : { region }),
    ...(name === undefined ? {} : { name }),
  }
}

async function configOf(
  image: string,
  command: readonly string[],
  options: CreateOptions,
): Promise<MachineConfig> {
  const { shellWords } = await import('#base')
  const { env, metadata, restart, schedule, standbyFor, entrypoint } = options
  const services = options.port.map((port) => parsePort(port, options))
  const words = entrypoint === undefined ? undefined : shellWords(entrypoint)
  return {
    image,
    env,
    metadata,
    guest: await guestOf(options),
    init: {
      ...(command.length === 0 ? {} : { cmd: command }),
      ...(words === undefined ? {} : { entrypoint: words }),
    },
    ...(services.length === 0 ? {} : { services }),
    ...(options.volume === undefined ? {} : { mounts: [mountOf(options.volume)] }),
    ...(restart === undefined ? {} : { restart: { policy: restart } }),
    ...(options.rm ? { auto_destroy: true, restart: { policy: restart ?? 'no' } } : {}),
    ...(schedule === undefined ? {} : { schedule }),
    ...(standbyFor === undefined ? {} : { standbys: standbyFor.split(',') }),
  }
}

async function guestOf({ vmSize, vmCpus, vmCpuKind, vmMemory }: CreateOptions) {
  const { guestOfVm } = await import('#app-config')
  const guest = guestOfVm({
    ...(vmSize === undefined ? {} : { size: vmSize }),
    ...(vmCpus === undefined ? {} : { cpus: Number(vmCpus) }),
    ...(vmCpuKind === undefined ? {} : { cpu_kind: vmCpuKind }),
    ...(vmMemory === undefined ? {} : { memory: vmMemory }),
  })
  if (!('what' in guest)) return { ...guest }
  throw new ApiInputError('cli.bad_value', {
    what: `--vm-${guest.key.replaceAll('_', '-')} ${guest.what}`,
  })
}

function mountOf(text: string) {
  const [, volume, path] = /^(vol_[0-9a-z]+):(\/.+)$/.exec(text) ?? []
  if (volume !== undefined && path !== undefined) return { volume, path }
  throw new ApiInputError('cli.bad_value', {
    what: 'not a volume and a path',
    values: { value: text },
    fix: 'write it as vol_123:/data; `godwit volumes list` shows the ids',
  })
}

const pairs = (flags: string, description: string) =>
  new Option(flags, description)
    .argParser((one: string, all: Readonly<Record<string, string>>) => {
      const at = one.indexOf('=')
      if (at > 0) return { ...all, [one.slice(0, at)]: one.slice(at + 1) }
      throw new ApiInputError('cli.bad_value', {
        what: 'not a name and a value',
        values: { value: one },
        fix: 'write it as NAME=value',
      })
    })
    .default({}, 'none')
