import { type Command, Option } from 'commander'
import type { MachineConfig } from '#flaps-client'
import { ApiInputError } from './input-error.ts'
import { filesOf, readJson } from './machine-files.ts'
import { guestOf } from './machine-guest.ts'
import { type Service, withPorts, withService } from './machine-ports.ts'

/** What the options of `machine run`, `create`, `update` and `clone` say of a machine, as commander gives it. */
export interface MachineSettings {
  readonly env: Readonly<Record<string, string>>
  readonly metadata: Readonly<Record<string, string>>
  readonly port: readonly string[]
  readonly fileLocal: readonly string[]
  readonly fileLiteral: readonly string[]
  readonly fileSecret: readonly string[]
  readonly kernelArg: readonly string[]
  readonly vmSize?: string
  readonly vmCpus?: string
  readonly vmCpuKind?: string
  readonly vmMemory?: string
  readonly hostDedicationId?: string
  readonly restart?: string
  readonly schedule?: string
  readonly entrypoint?: string
  readonly command?: string
  readonly autostop?: string | boolean
  readonly autostart?: boolean
  readonly standbyFor?: string
  readonly skipDnsRegistration?: boolean
  readonly machineConfig?: string
}

/** Adds the options of the size. */
export const withSize = (command: Command): Command =>
  command
    .addOption(new Option('--vm-size <preset>', '`godwit platform vm-sizes` lists them'))
    .addOption(new Option('--vm-cpus <count>', 'virtual CPUs'))
    .addOption(new Option('--vm-cpu-kind <kind>', 'shared or performance'))
    .addOption(new Option('--vm-memory <size>', 'such as 512mb; a bare number is MB'))
    .addOption(new Option('--host-dedication-id <id>', 'only on hosts that are dedicated so'))

/** Adds the options of all that a machine's configuration says. */
export const withSettings = (command: Command): Command =>
  withSize(command)
    .addOption(pairs('-e, --env <NAME=value>', 'environment; repeatable'))
    .addOption(pairs('-m, --metadata <key=value>', 'metadata; repeatable; `key=` removes it'))
    .addOption(
      collected('-p, --port <spec>', 'EXTERNAL[:INTERNAL][/PROTOCOL[:HANDLER...]]; `-`: none'),
    )
    .addOption(collected('--file-local <path=file>', 'a file in the machine, from one here'))
    .addOption(collected('--file-literal <path=text>', 'a file in the machine, with that text'))
    .addOption(collected('--file-secret <path=NAME>', 'a file in the machine, from a secret'))
    .addOption(collected('--kernel-arg <arg>', 'for its kernel; repeatable'))
    .addOption(new Option('--restart <policy>', 'no, on-failure, always, or spot-price'))
    .addOption(new Option('--schedule <period>', 'hourly, daily, weekly, monthly; none: no more'))
    .addOption(new Option('--entrypoint <command>', "instead of the image's"))
    .addOption(new Option('--autostop [how]', 'off, stop or suspend; alone: stop'))
    .addOption(new Option('--no-autostop', 'the same as off').hideHelp())
    .addOption(new Option('--autostart', 'start it when requests come'))
    .addOption(new Option('--no-autostart', 'do not'))
    .addOption(new Option('--standby-for <ids>', 'start it when the host of these is gone; "": no'))
    .addOption(new Option('--skip-dns-registration', 'give it no .internal name'))
    .addOption(
      new Option('--machine-config <json>', 'keys of its configuration: JSON, or a file with it'),
    )

/**
 * A configuration as these settings change it. What they do not name stays.
 *
 * @throws ApiInputError cli.bad_value, cli.file_unreadable
 */
export async function changedConfig(
  before: MachineConfig,
  settings: MachineSettings,
): Promise<MachineConfig> {
  const config = merged(before, settings)
  const { env, metadata, restart, schedule, standbyFor } = settings
  const services = servicesOf(config, settings)
  const files = filesOf(config['files'], settings)
  const init = await initOf(config, settings)
  const kept = { ...config.metadata, ...metadata }
  const removed = Object.entries(metadata).flatMap(([key, value]) => (value === '' ? [key] : []))
  return defined({
    ...config,
    env: { ...config.env, ...env },
    metadata: Object.fromEntries(Object.entries(kept).filter(([key]) => !removed.includes(key))),
    guest: await guestOf(config.guest, settings),
    init,
    services: services.length === 0 ? undefined : services,
    files: files.length === 0 ? undefined : files,
    ...(restart === undefined
      ? {}
      : { restart: { ...objectAt(config, 'restart'), policy: restart } }),
    ...(schedule === undefined ? {} : { schedule: schedule === 'none' ? undefined : schedule }),
    ...(standbyFor === undefined ? {} : { standbys: listOf(standbyFor) }),
    ...(settings.skipDnsRegistration === undefined
      ? {}
      : { dns: { ...objectAt(config, 'dns'), skip_registration: true } }),
  })
}

const defined = (config: Readonly<Record<string, unknown>>): MachineConfig =>
  Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined))

/** Keys of --machine-config take the place of the machine's; null removes one. */
function merged(before: MachineConfig, { machineConfig }: MachineSettings): MachineConfig {
  if (machineConfig === undefined) return before
  const all = Object.entries({ ...before, ...readJson(machineConfig) })
  return Object.fromEntries(all.filter(([, value]) => value !== null))
}

function servicesOf(config: MachineConfig, settings: MachineSettings): readonly Service[] {
  const { port, autostart } = settings
  const autostop = autostopOf(settings.autostop)
  const chosen = {
    ...(autostop === undefined ? {} : { autostop }),
    ...(autostart === undefined ? {} : { autostart }),
  }
  const services = withPorts(config.services ?? [], port, chosen)
  if (services.length === 0 && Object.keys(chosen).length > 0 && port.length === 0) {
    throw new ApiInputError('cli.bad_value', {
      what: '--autostop and --autostart are about services, and this machine has none',
      fix: 'give it one with --port, as in --port 443:8080/tcp:tls:http',
    })
  }
  return services.map((service) => withService(service, chosen))
}

function autostopOf(given: string | boolean | undefined): string | undefined {
  if (given === undefined || typeof given === 'string') return given
  return given ? 'stop' : 'off'
}

async function initOf(config: MachineConfig, { command, entrypoint }: MachineSettings) {
  const init = objectAt(config, 'init')
  return {
    ...init,
    ...(command === undefined ? {} : { cmd: await words('command', command) }),
    ...(entrypoint === undefined ? {} : { entrypoint: await words('entrypoint', entrypoint) }),
  }
}

/** As a shell splits them. @throws ApiInputError cli.bad_value */
export async function words(option: string, line: string): Promise<string[]> {
  const { shellWords } = await import('#base')
  const found = shellWords(line)
  if (found !== undefined) return found
  throw new ApiInputError('cli.bad_value', {
    what: `--${option} has a quote that does not end`,
    values: { value: line },
    fix: 'quote it as for a shell',
  })
}

function objectAt(config: MachineConfig, key: string): Readonly<Record<string, unknown>> {
  const value = config[key]
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

export const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')

const collected = (flags: string, description: string) =>
  new Option(flags, description)
    .argParser((one: string, all: readonly string[]) => [...all, one])
    .default([], 'none')

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
