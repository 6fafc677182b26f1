import type { MachineConfig } from '#flaps-client'
import { ApiInputError } from './input-error.ts'
import { filesOf, readJson } from './machine-files.ts'
import { guestOf } from './machine-guest.ts'
import { type Service, withPorts, withService } from './machine-ports.ts'
import type { MachineSettings } from './machine-settings.ts'

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
