import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KeyRing, openAccounts, readKeyRing } from '#accounts'
import { pollUntil, systemClock, systemRandom, ulidGenerator } from '#base'
import { FlapsClient, type Profile, readProfile, writeProfile } from '#flaps-client'
import { API_PORT } from '#host'
import { type Progress, startForward, type Topology, type World } from '#planet'
import { openLocalAuthority } from '#proxy'
import { newKeyLine } from '#seal'
import { BoxError } from './errors.ts'
import { type BoxHost, PlanetPlatform, SMALL_SERVER } from './planet-platform.ts'

export type BoxRuntime = 'runc' | 'qemu'

export const ORGANIZATION = 'demo'
const FORWARD = 'api'
/**
 * Browsers, and curl, find every name below `localhost` on loopback (RFC 6761, section 6.3); certificates for
 * `*.localhost` itself are not believed.
 */
export const APP_DOMAIN = 'godwit.localhost'
const WEB = 'web'
const WEB_PORT = 8443
const REGIONS_MS = 120_000

export interface RaiseOptions {
  readonly topology: Topology
  /** How machines run, also on a platform that stands. */
  readonly runtime?: BoxRuntime
  /** How they run on one that is founded now, unless `runtime` says it. @default runc */
  readonly foundRuntime?: BoxRuntime
  /** Of the API on this machine's loopback; 0: any that is free. */
  readonly apiPort?: number
  /** Of the edges on this machine's loopback; 0: any that is free. */
  readonly webPort?: number
  readonly progress?: Progress
  readonly signal?: AbortSignal
  /** Where the command line of this machine finds it. @default as `profileFile` says */
  readonly profilePath?: string
}

export interface Raised {
  readonly platform: PlanetPlatform
  readonly gateway: string
  /** For the command line of this machine. */
  readonly profile: Profile
  /** The way to visit apps from this machine: through the edge that is nearest to the first city. */
  readonly web: Web
}

export interface Web {
  readonly port: number
  /** The file with the authority of the apps' certificates. */
  readonly caFile: string
  /** The anycast address of apps; undefined: this planet has none. */
  readonly address: string | undefined
}

/**
 * The whole platform on a planet that stands: the parts of every host, an organisation, and a way in from this
 * machine. What stands already is left as it is, so it may run again after whatever stopped it.
 *
 * @throws BoxError box.not_founded, box.other_runtime, box.not_ready; PlanetError planet.port_taken
 */
export async function raisePlatform(world: World, options: RaiseOptions): Promise<Raised> {
  const {
    runtime,
    foundRuntime = 'runc',
    progress = () => undefined,
    signal,
    profilePath,
  } = options
  const platform = new PlanetPlatform(world)
  const hosts = rolesOf(world)
  const gateway = hosts.find(({ roles }) => roles.includes('gateway'))?.name
  if (gateway === undefined) {
    throw new BoxError('box.not_founded', {
      what: 'a planet without hosts has no place for a gateway',
      values: { planet: world.name },
      fix: 'give a region of the topology hosts',
    })
  }
  if (!platform.isFounded(gateway)) {
    progress(`founding a cluster of ${hosts.length} hosts: keys, certificates, files`)
    makeAccounts(world, gateway)
    await shareAuthority(world, hosts)
    const settings = settingsOf(world, runtime ?? foundRuntime)
    await platform.found({ hosts, settings, places: placesOf(options.topology) })
  } else if (runtime !== undefined && platform.runtimeOf(gateway) !== runtime) {
    throw new BoxError('box.other_runtime', {
      what: 'the platform stands, and its machines run otherwise',
      values: { runtime: platform.runtimeOf(gateway), wanted: runtime },
      fix: 'remove it with godwit down, or leave --runtime out',
    })
  }
  progress(`starting ${hosts.length} hosts, each with what its role needs`)
  for (const { name } of hosts) await platform.startHost(name)
  for (const { name } of hosts) {
    await platform.hostReady(name, signal)
    progress(`${name} is ready`)
  }
  const profile = await openWayIn(world, platform, gateway, options)
  progress('waiting until the API knows all regions')
  await apiReady(profile, new Set(hosts.map(({ name }) => world.node(name).plan.region)), signal)
  writeProfile(profile, profilePath)
  for (const { name } of world.ofKind('client')) {
    const inside = { ...profile, api: platform.apiUrl(gateway) }
    writeProfile(inside, world.node(name).diskPath('cli.json'))
  }
  return { platform, gateway, profile, web: await openWeb(world, gateway, options) }
}

/** Every host announces the anycast addresses, so every host is an edge; the first is the gateway, too. */
const rolesOf = (world: World): BoxHost[] =>
  world.ofKind('host').map(({ name }, index): BoxHost => {
    const isFirst = index === 0
    return { name, roles: ['worker', 'edge', ...(isFirst ? (['gateway', 'nats'] as const) : [])] }
  })

/** Of apps: the planet's anycast ones. */
function addressesOf({ plan: { anycast } }: World) {
  const firstOf = (family: string) => anycast.find(({ prefix }) => prefix.includes(family))?.prefix
  const v4 = firstOf('.')?.replace(/\d+\/\d+$/, '1')
  const v6 = firstOf(':')?.replace(/::\/\d+$/, ':1')
  return {
    ...(v4 === undefined ? {} : { shared_v4: v4 }),
    ...(v6 === undefined ? {} : { v6_prefix: v6 }),
  }
}

function settingsOf(world: World, runtime: BoxRuntime) {
  return {
    worker: { ...SMALL_SERVER, runtime },
    gateway: {
      addresses: { v4: [], ...addressesOf(world) },
    },
    edge: {
      app_domain: APP_DOMAIN,
      local_ca: '/var/lib/godwit/ca',
      anycast: {
        prefixes: world.plan.anycast.map(({ prefix }) => prefix),
        bird_socket: '/run/godwit/bird.ctl', // the planet's own
      },
    },
  }
}

/** One authority for the apps' names on all hosts' disks, so that a browser has to be told of one. */
async function shareAuthority(world: World, hosts: readonly BoxHost[]): Promise<void> {
  const [first, ...others] = hosts.map(({ name }) => world.node(name).diskPath('ca'))
  if (first === undefined) return
  await openLocalAuthority(first, systemClock.nowMs())
  for (const folder of others) cpSync(first, folder, { recursive: true })
}

const placesOf = ({ regions }: Topology) =>
  Object.fromEntries(
    regions.map(({ code, name = '', latitude, longitude }) => [
      code,
      { name, latitude, longitude },
    ]),
  )

/** On the gateway's own disk, where its flaps looks for it. */
function makeAccounts(world: World, gateway: string): void {
  const folder = world.node(gateway).diskPath('accounts')
  if (existsSync(join(folder, 'key-ring'))) return
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const line = newKeyLine('first', systemRandom)
  using accounts = openAccounts({
    path: join(folder, 'accounts.db'),
    ring: new KeyRing(line, systemRandom),
  })
  accounts.createOrganization(operator(), { slug: ORGANIZATION })
  accounts.addRootKey(operator(), { organization: ORGANIZATION })
  writeFileSync(join(folder, 'key-ring'), line, { mode: 0o600 }) // the last: then it is made
}

function newToken(world: World, gateway: string): string {
  const folder = world.node(gateway).diskPath('accounts')
  const ring = readKeyRing(join(folder, 'key-ring'), systemRandom)
  using accounts = openAccounts({ path: join(folder, 'accounts.db'), ring })
  return accounts.createToken(operator(), { organization: ORGANIZATION, profile: 'org' }).header
}

const newUlid = ulidGenerator({ clock: systemClock, random: systemRandom })
const operator = () => ({ who: 'cli:up', requestId: newUlid() })

/** From this machine's loopback to the gateway's API, with a token for it. */
async function openWayIn(
  world: World,
  platform: PlanetPlatform,
  gateway: string,
  { apiPort = API_PORT, profilePath, progress }: RaiseOptions,
): Promise<Profile> {
  const known = readProfile(profilePath)
  const ca = readFileSync(platform.caFile(gateway), 'utf8')
  const stands = world.commands(gateway).some(({ name }) => name === FORWARD)
  if (stands && known?.ca === ca) return known
  if (stands) await world.stop(gateway, FORWARD)
  const target = { host: world.node(gateway).plan.ipv4, port: API_PORT }
  const { port } = await startForward(world.node(gateway), FORWARD, { port: apiPort, target })
  progress?.(`the API is at https://127.0.0.1:${port} of this machine`)
  return { api: `https://127.0.0.1:${port}`, token: newToken(world, gateway), ca }
}

/** From this machine's loopback to the apps' anycast address, as a client of the first city reaches it. */
async function openWeb(
  world: World,
  gateway: string,
  { webPort = WEB_PORT, progress }: RaiseOptions,
): Promise<Web> {
  const address = addressesOf(world).shared_v4
  const caFile = world.node(gateway).diskPath('ca', 'ca.pem')
  const city = world.ofKind('client')[0]
  if (address === undefined || city === undefined) return { port: 0, caFile, address }
  const note = city.diskPath('web-port') // where an earlier run's forward listens
  const stands = world.commands(city.name).some(({ name }) => name === WEB)
  if (stands) return { port: Number(readFileSync(note, 'utf8')), caFile, address }
  const target = { host: address, port: 443 }
  const { port } = await startForward(city, WEB, { port: webPort, target })
  writeFileSync(note, String(port))
  progress?.(`apps are at https://APP.${APP_DOMAIN}:${port} of this machine`)
  return { port, caFile, address }
}

async function apiReady(profile: Profile, wanted: ReadonlySet<string>, signal?: AbortSignal) {
  const { api: url, token, ca } = profile
  using client = new FlapsClient({ url, token, ...(ca === undefined ? {} : { ca }) })
  const look = async () => {
    const regions = await client.regions({ signal, deadlineMs: 5_000 }).catch(() => [])
    return regions.filter(({ code }) => wanted.has(code)).length === wanted.size
  }
  await pollUntil('the API to know all regions', look, {
    ...{ deadlineMs: REGIONS_MS, intervalMs: 200, signal },
  })
}
