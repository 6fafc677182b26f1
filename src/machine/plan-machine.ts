import { isIP } from 'node:net'
import type { MachineId } from '#base'
import type { GuestConfig, GuestDisk, GuestNetwork, GuestSpec, GuestUser } from '#guest'
import { commandOf, envOf, type ImageConfig, resolveUser, type UserFiles } from '#image'
import { configBad } from './errors.ts'
import type { MachineConfig, MachineFile, MachineNetwork } from './machine-config.ts'
import type { PreparedDisks } from './machine-disks.ts'

export interface PlanInput {
  readonly id: MachineId
  readonly config: MachineConfig
  readonly image: { readonly config: ImageConfig; readonly userFiles: UserFiles }
  readonly disks: PreparedDisks
  /** Set by whoever keeps the machine; they win over the image's and the configuration's. */
  readonly platformEnv?: Readonly<Record<string, string>>
}

/** What a runtime boots, what its init is told, and what is written before the command starts. */
export interface MachinePlan {
  readonly spec: GuestSpec
  readonly config: GuestConfig
  readonly files: readonly MachineFile[]
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const HOSTNAME = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$/
const ENV_NAME = /^[^=\0]+$/
const SERIAL = { root: 'root', swap: 'swap', volume: (index: number) => `volume${index}` } as const
/** What init takes. */
const MOUNTS_MAX = 8
const MEMORY_MIB_MIN = 16

/**
 * Decides how a machine is booted and what its init is told. Pure.
 *
 * @throws MachineError machine.config_bad; ImageError image.user_unknown, image.config_bad
 */
export function planMachine(input: PlanInput): MachinePlan {
  const { id, config, disks } = input
  checkConfig(config)
  return {
    spec: specOf(input),
    config: {
      ...processOf(input),
      hostname: config.hostname ?? id,
      root: { device: SERIAL.root, type: 'ext4', readOnly: disks.root.readOnly },
      volumes: disks.volumes.map(({ mount, type }, index) => ({
        ...{ device: SERIAL.volume(index), path: mount.path, type },
        ...(mount.readOnly ? { options: 'ro' } : { owner: ownerOf(userOf(input)) }),
      })),
      swapDevices: disks.swapPath === undefined ? [] : [SERIAL.swap],
      ...networkOf(config.network),
      hosts: [ownName(config.hostname ?? id, config.network), ...(config.network?.hosts ?? [])],
    },
    files: config.files ?? [],
  }
}

function specOf(input: PlanInput): GuestSpec {
  const { id, config, disks } = input
  const { cpu, memoryMib, pidsMax, network, hostname } = config
  const owner = ownerOf(userOf(input))
  const volumes = disks.volumes.map(({ mount, path, type }, index): GuestDisk => {
    const where = { path: mount.path, type, ...(mount.readOnly ? {} : { owner }) }
    return { serial: SERIAL.volume(index), path, readOnly: mount.readOnly ?? false, mount: where }
  })
  const swap = disks.swapPath === undefined ? [] : [{ serial: SERIAL.swap, path: disks.swapPath }]
  return {
    ...(hostname === undefined ? {} : { hostname }),
    ...{ id, cpu, memoryMib, ...(pidsMax === undefined ? {} : { pidsMax }) },
    rootfs: { serial: SERIAL.root, ...disks.root },
    disks: [...volumes, ...swap],
    ...(network === undefined ? {} : { network: guestNetwork(network) }),
  }
}

function guestNetwork({ netnsPath, device, mac, mtuBytes }: MachineNetwork): GuestNetwork {
  return { netnsPath, device, mac, ...(mtuBytes === undefined ? {} : { mtuBytes }) }
}

/** The interface of a machine is eth0 to itself, in every runtime. */
function networkOf(network: MachineNetwork | undefined): Partial<GuestConfig> {
  const loopback = { name: 'lo' }
  if (network === undefined) return { links: [loopback] }
  const { mtuBytes, addresses, nameservers, searchDomains } = network
  return {
    links: [loopback, { name: 'eth0', ...(mtuBytes === undefined ? {} : { mtuBytes }) }],
    addresses: addresses.map((address) => ({ link: 'eth0', ...address })),
    ...(nameservers === undefined ? {} : { nameservers }),
    ...(searchDomains === undefined ? {} : { searchDomains }),
  }
}

/** Programs that ask for the address of their own host name get one, as in a container of Docker. */
function ownName(hostname: string, network: MachineNetwork | undefined) {
  const [address = '127.0.1.1'] = network?.addresses.map(({ cidr }) => cidr.split('/')[0]) ?? []
  return { address, names: [hostname] }
}

function processOf(input: PlanInput) {
  const { image, config, platformEnv = {} } = input
  const { process = {} } = config
  const { user, home } = userOf(input)
  const env = {
    ...{ PATH, HOME: home },
    ...Object.fromEntries(envOf(image.config)),
    ...process.env,
    ...platformEnv,
  }
  return {
    ...{ argv: argvOf(image.config, config), env, user },
    cwd: process.workingDir ?? image.config.workingDir,
    ...(process.tty === undefined ? {} : { tty: process.tty }),
    ...(process.hasInput ? { hasInput: true } : {}),
  }
}

/** An empty list counts as none, as in the Machines API. */
function argvOf(image: ImageConfig, { process = {} }: MachineConfig): [string, ...string[]] {
  const { exec = [], entrypoint = [], cmd = [] } = process
  const overrides = {
    ...(entrypoint.length === 0 ? {} : { entrypoint }),
    ...(cmd.length === 0 ? {} : { cmd }),
  }
  const [program = '', ...words] = exec.length > 0 ? exec : commandOf(image, overrides)
  return [program, ...words]
}

function userOf({ image, config }: PlanInput): { user: GuestUser; home: string } {
  const { uid, gid, groups, home } = resolveUser(
    config.process?.user ?? image.config.user,
    image.userFiles,
  )
  return { user: { uid, gid, groups: groups.slice(0, 64) }, home }
}

const ownerOf = ({ user }: { user: GuestUser }) => ({ uid: user.uid, gid: user.gid })

function checkConfig({ cpu, memoryMib, hostname, process, files, mounts, network }: MachineConfig) {
  if (!Number.isInteger(cpu.count) || cpu.count < 1 || cpu.count > 32) {
    throw configBad('a machine has 1 to 32 CPUs', { cpus: cpu.count })
  }
  if (!Number.isInteger(memoryMib) || memoryMib < MEMORY_MIB_MIN) {
    throw configBad('too little memory', { memoryMib, memoryMibMin: MEMORY_MIB_MIN })
  }
  if (hostname !== undefined && !HOSTNAME.test(hostname)) {
    throw configBad('not a host name', { hostname })
  }
  for (const [name, value] of Object.entries(process?.env ?? {})) {
    if (!ENV_NAME.test(name) || value.includes('\0')) throw configBad('not a variable', { name })
  }
  if (process?.workingDir !== undefined) checkPath('the working folder', process.workingDir)
  for (const { path } of files ?? []) checkPath('a file', path)
  checkMounts(mounts ?? [])
  for (const { cidr } of network?.addresses ?? []) {
    if (isIP(cidr.split('/')[0] ?? '') === 0) throw configBad('not an address', { cidr })
  }
}

function checkMounts(mounts: NonNullable<MachineConfig['mounts']>): void {
  if (mounts.length > MOUNTS_MAX) {
    throw configBad('too many volumes', { count: mounts.length, countMax: MOUNTS_MAX })
  }
  for (const { path } of mounts) checkPath('a volume', path)
  for (const key of ['path', 'volume'] as const) {
    const values = mounts.map((one) => one[key])
    const twice = values.find((one, index) => values.indexOf(one) !== index)
    if (twice !== undefined) throw configBad('two volumes in one place', { [key]: twice })
  }
}

function checkPath(what: string, path: string): void {
  const isFine = /^\/[^\0]/.test(path) && !path.split('/').includes('..')
  if (isFine) return
  throw configBad(`${what} needs an absolute path other than /`, { path })
}
