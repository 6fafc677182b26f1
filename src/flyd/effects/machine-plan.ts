import { isIP } from 'node:net'
import type { MachineConfig, MachineFile, MachineNetwork, MachineProcess } from '#machine'
import { guestOf } from '../guest-size.ts'
import type { MachineConfigJson } from '../machine-json.ts'
import type { MachineSubject } from '../model/machine-subject.ts'
import { fatal } from './fatal-errors.ts'

type Json = Readonly<Record<string, unknown>>

const TERMINAL = { columns: 80, rows: 24 } as const
const GIB = 2 ** 30

/**
 * A configuration of the Machines API as machines are prepared. What this version cannot do is refused,
 * not left out.
 *
 * @throws EffectError effect.fatal
 */
export function machineConfigOf(
  { config }: MachineSubject,
  secrets: Readonly<Record<string, string>>,
  network: MachineNetwork | undefined,
): MachineConfig {
  refuseUnknown(config)
  const { cpuKind, cpus, memoryMb } = guestOf(config)
  const { size_gb: sizeGb } = object(config['rootfs'])
  const dns = object(config['dns'])
  const swapMib = Number(object(config['init'])['swap_size_mb'] ?? 0)
  const hostname = text(dns['hostname'])
  return {
    cpu: { kind: cpuKind, count: cpus },
    memoryMib: memoryMb,
    process: processOf(config, secrets),
    ...(hostname === undefined ? {} : { hostname }),
    files: filesOf(config, secrets),
    mounts: mountsOf(config),
    ...(swapMib > 0 ? { swapMib } : {}),
    ...(typeof sizeGb === 'number' && sizeGb > 0 ? { rootfs: { sizeBytes: sizeGb * GIB } } : {}),
    ...(network === undefined ? {} : { network: withDns(network, dns) }),
  }
}

/** What the platform sets in every machine; it wins. Source: the platform's documentation, runtime environment. */
export function platformEnv(subject: MachineSubject): Record<string, string> {
  const { id, appName, region, version, config, network, imageRef } = subject
  const image = imageRef === undefined ? String(config.image ?? '') : imageText(imageRef)
  return {
    FLY_APP_NAME: appName,
    FLY_MACHINE_ID: id,
    FLY_ALLOC_ID: id,
    FLY_MACHINE_VERSION: version,
    FLY_REGION: region,
    FLY_IMAGE_REF: image,
    FLY_VM_MEMORY_MB: String(guestOf(config).memoryMb),
    ...(network === undefined ? {} : { FLY_PRIVATE_IP: network.privateIp }),
  }
}

function imageText({ registry, repository, tag, digest }: NonNullable<MachineSubject['imageRef']>) {
  const named = tag === '' ? '' : `:${tag}`
  return `${registry}/${repository}${named}${digest === '' ? '' : `@${digest}`}`
}

function refuseUnknown(config: MachineConfigJson): void {
  if (list(config['containers']).length > 0)
    throw fatal('machines of several containers cannot run here')
  if (list(config['processes']).length > 1)
    throw fatal('machines of several processes cannot run here')
  if (config.image === undefined || config.image === '') throw fatal('the machine has no image')
}

/** Env: secrets, then the configuration's, then its process's; image before and platform after all. */
function processOf(config: MachineConfigJson, secrets: Json): MachineProcess {
  const init = object(config['init'])
  const process = object(list(config['processes'])[0])
  const words = (key: string) => {
    const own = stringList(process[key])
    return own.length > 0 ? own : stringList(init[key])
  }
  const user = text(process['user'])
  return {
    exec: words('exec'),
    entrypoint: words('entrypoint'),
    cmd: words('cmd'),
    env: {
      ...strings(secretsFor(process, secrets)),
      ...strings(object(config['env'])),
      ...strings(object(process['env'])),
    },
    ...(user === undefined ? {} : { user }),
    ...(init['tty'] === true ? { tty: TERMINAL } : {}),
  }
}

/** A process that lists secrets gets those alone, by the names that it gives them. */
function secretsFor(process: Json, secrets: Json): Json {
  const wanted = list(process['secrets'])
  if (wanted.length === 0) return process['ignore_app_secrets'] === true ? {} : secrets
  const chosen: Record<string, unknown> = {}
  for (const one of wanted) {
    const { env_var: name, name: secret = name } = object(one)
    if (typeof name !== 'string' || typeof secret !== 'string') continue
    if (!Object.hasOwn(secrets, secret)) throw fatal('the app has no such secret', { secret })
    chosen[name] = secrets[secret]
  }
  return chosen
}

function filesOf(config: MachineConfigJson, secrets: Json): MachineFile[] {
  return list(config['files']).map((one) => {
    const { guest_path: path, raw_value: raw, secret_name: secret, mode } = object(one)
    if (typeof path !== 'string') throw fatal('a file without a path')
    const base64 = typeof secret === 'string' ? secrets[secret] : raw
    if (typeof base64 !== 'string') throw fatal('a file without a value', { path })
    if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(base64)) throw fatal('a file is not base64', { path })
    const content = Buffer.from(base64, 'base64')
    return { path, content, ...(typeof mode === 'number' ? { mode: mode & 0o7777 } : {}) }
  })
}

function mountsOf(config: MachineConfigJson): { volume: string; path: string }[] {
  return list(config.mounts).map((one) => {
    const { volume, path } = object(one)
    if (typeof volume !== 'string' || typeof path !== 'string')
      throw fatal('a mount without a volume')
    return { volume, path }
  })
}

function withDns(network: MachineNetwork, dns: Json): MachineNetwork {
  const nameservers = stringList(dns['nameservers']).filter((address) => isIP(address) !== 0)
  const searchDomains = stringList(dns['searches'])
  return {
    ...network,
    ...(nameservers.length === 0 ? {} : { nameservers }),
    ...(searchDomains.length === 0 ? {} : { searchDomains }),
  }
}

const object = (value: unknown): Json =>
  typeof value === 'object' && value !== null ? (value as Json) : {}
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
const stringList = (value: unknown): string[] => list(value).map(String)
const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined)
const strings = (values: Json) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))
