/** The platform on three hosts of a planet, two of them gateways, and a registry that all hosts reach. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { KeyRing, openAccounts } from '#accounts'
import { errorCode, systemRandom } from '#base'
import { type FlydSeen, PlanetPlatform } from '#box'
import { askFlyd, makeBusyboxLayout } from '#flyd'
import { changePart } from '#host'
import { startRealRegistry } from '#image'
import type { World } from '#planet'
import { askTop, type TopView } from '#proxy'
import { newKeyLine } from '#seal'
import { eventually } from './planet-world.ts'

const run = promisify(execFile)

export const HOSTS = ['ams-1', 'iad-1', 'nrt-1'] as const
export const GATEWAYS = ['ams-1', 'iad-1'] as const
/** Of the anycast prefixes of the box. */
export const SHARED_V4 = '203.0.113.1'
/** Each for one app that asks for an address of its own. */
export const DEDICATED_V4 = ['203.0.113.21', '203.0.113.22'] as const
export const APP_DOMAIN = 'apps.test'
export const IMAGE = '127.0.0.1:5000/busybox:v1'
const READY_MS = 90_000
const GODWIT = resolve(import.meta.dirname, '../bin/godwit')
const NATS_HOST = 'ams-1'

/** Of a planet's hosts: their routing daemon is the planet's. */
const anycastOf = ({ plan }: World) => ({
  prefixes: plan.anycast.map(({ prefix }) => prefix),
  bird_socket: '/run/godwit/bird.ctl',
  drain_s: 2,
})

export type Organisation = 'birds' | 'fish'

export interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any
}

export interface PlatformOptions {
  /** The hosts that have it. @default HOSTS */
  readonly names?: readonly string[]
  /** Of an authority that speaks ACME, for apps' own host names. */
  readonly directoryUrl?: string
  /** When machines are stopped that nobody needs. */
  readonly autostop?: {
    readonly period_s: number
    readonly up_s: number
    readonly settle_s: number
  }
}

/** Of the tokens by which others know machines. */
export const ISSUER = 'https://id.example'

export class Platform {
  readonly world: World
  readonly folder: string
  readonly box: PlanetPlatform
  /** By organisation. */
  readonly #tokens = new Map<Organisation, string>()

  private constructor(world: World, folder: string) {
    this.world = world
    this.folder = folder
    this.box = new PlanetPlatform(world)
  }

  static async start(
    t: TestContext,
    world: World,
    { names = HOSTS, directoryUrl, autostop }: PlatformOptions = {},
  ): Promise<Platform> {
    const folder = mkdtempSync(join(tmpdir(), 'godwit-platform-'))
    const platform = new Platform(world, folder)
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    // A host without the platform must draw no visitors: nothing there looks after its announcement.
    const bare = world.ofKind('host').filter(({ name }) => !names.includes(name))
    for (const { name } of bare) await world.withdraw(name)
    const accounts = platform.#makeAccounts()
    await platform.#makeRegistry()
    await platform.box.found({
      hosts: names.map((name) => ({
        name,
        roles: [
          ...(['worker', 'edge'] as const),
          ...(GATEWAYS.some((gateway) => gateway === name) ? (['gateway'] as const) : []),
          ...(name === NATS_HOST ? (['nats'] as const) : []),
        ],
      })),
      settings: {
        gateway: {
          ...{ accounts, oidc_issuer: ISSUER },
          addresses: { v4: [...DEDICATED_V4], shared_v4: SHARED_V4 },
        },
        edge: {
          ...{ app_domain: APP_DOMAIN, local_ca: join(folder, 'ca'), anycast: anycastOf(world) },
          ...(directoryUrl === undefined ? {} : { acme: { directory_url: directoryUrl } }),
        },
        worker: {
          ...{ cpus: 8, memory_mb: 8192, pool_gb: 2, image_cache_gb: 2 },
          ...(autostop === undefined ? {} : { autostop }),
        },
      },
    })
    platform.learnAuthorities()
    await Promise.all(names.map((host) => platform.#beginHost(host)))
    for (const host of names) await platform.box.hostReady(host)
    for (const gateway of GATEWAYS) await platform.gatewayReady(gateway)
    return platform
  }

  /** Clients are given what hosts trust now: their cities see no host's disk. */
  learnAuthorities(): void {
    copyFileSync(this.box.caFile('ams-1'), this.#caFile)
  }

  /** As an operator does it: a token at a gateway, one command on the new host. */
  async joinHost(host: string, to: { gateway: string; region: string }): Promise<void> {
    const make = ['host', 'token', 'create', '--role', 'worker', '--region', to.region, '--json']
    const { token, url } = JSON.parse(await this.godwit(to.gateway, make))
    const settings = this.#write(
      'settings.toml',
      '[worker]\ncpus = 8\nmemory_mb = 8192\npool_gb = 2\nimage_cache_gb = 2\n',
    )
    const named = ['--token', token, '--name', host, '--settings', settings, '--no-install']
    await this.godwit(host, ['host', 'join', url, ...named])
    await this.startHost(host)
  }

  async startHost(host: string): Promise<void> {
    await this.#beginHost(host)
    await this.box.hostReady(host)
  }

  async #beginHost(host: string): Promise<void> {
    const registry = ['docker-registry', 'serve', join(this.folder, 'registry.json')] as const
    await this.world.start(host, 'registry', registry)
    await this.box.startHost(host)
  }

  /** Resolves when a gateway answers, and knows all regions. */
  async gatewayReady(gateway: string): Promise<void> {
    const ask = () => this.call(gateway, 'GET', '/platform/regions').catch(() => undefined)
    const what = `flaps of ${gateway}`
    await eventually(what, ask, (one) => one?.json?.regions?.length === 3, READY_MS)
  }

  /** Of all that the organisation has, as a header's value. */
  token(by: Organisation): string {
    return this.#tokens.get(by) ?? ''
  }

  /** Options with which the command line finds a gateway's API. */
  connection(gateway: string, by: Organisation = 'birds'): string[] {
    const url = this.box.apiUrl(gateway)
    return ['--api', url, '--ca', this.#caFile, '--access-token', this.token(by)]
  }

  /** As an attacker's luck would have it: between two instructions. Its supervisor starts it anew. */
  async killFlaps(gateway: string): Promise<void> {
    const flaps = (await this.box.parts(gateway)).find(({ name }) => name === 'flaps')
    await this.world.node(gateway).run('kill', ['-9', String(flaps?.pid)])
  }

  async stopNats(): Promise<void> {
    await changePart(this.box.socketOf(NATS_HOST), 'stop', 'nats')
  }

  /** Kills daemons of a host, which its supervisor then does not start again. */
  async killParts(host: string, ...names: string[]): Promise<void> {
    const parts = (await this.box.parts(host)).filter(({ name }) => names.includes(name))
    const pids = parts.flatMap(({ pid }) => (pid === null ? [] : [String(pid)]))
    await this.world.node(host).run('kill', ['-9', ...pids])
    await Promise.all(names.map((name) => changePart(this.box.socketOf(host), 'stop', name)))
  }

  /** What `godwit proxy top` shows of a host; undefined while nobody answers. */
  async proxyTop(host: string): Promise<TopView | undefined> {
    try {
      return await askTop(this.world.node(host).runPath('proxy.sock'))
    } catch (error) {
      if (errorCode(error) === 'proxy.admin_away') return undefined
      throw error
    }
  }

  /** The command line on a host. */
  godwit(host: string, words: readonly string[]): Promise<string> {
    return this.world.node(host).run(GODWIT, [...words])
  }

  flyd(host: string): Promise<FlydSeen | undefined> {
    return this.box.flyd(host)
  }

  async setMode(host: string, mode: 'open' | 'draining'): Promise<void> {
    await askFlyd(this.world.node(host).runPath('flyd.sock'), 'POST', `/mode?is=${mode}`)
  }

  /** One request by curl, over HTTPS, from a client's city. */
  async call(
    gateway: string,
    method: string,
    path: string,
    body?: unknown,
    by: Organisation = 'birds',
  ): Promise<Answer> {
    const isWeb = path === '/graphql' || path.startsWith('/api/')
    const url = `${this.box.apiUrl(gateway)}${isWeb ? '' : '/v1'}${path}`
    const words = ['-sS', '--max-time', '70', '--cacert', this.#caFile, '-X', method]
    const sent = body === undefined ? [] : ['-d', JSON.stringify(body)]
    const all = [
      ...words,
      ...sent,
      '-H',
      `authorization: ${this.token(by)}`,
      '-w',
      '\n%{http_code}',
      url,
    ]
    const printed = await this.world.node('ams-client').run('curl', all, { deadlineMs: READY_MS })
    const end = printed.trimEnd().lastIndexOf('\n')
    const text = printed.slice(0, end)
    return { status: Number(printed.slice(end)), json: text === '' ? undefined : JSON.parse(text) }
  }

  /** As a program in a machine calls: over the socket that its init made. */
  async callFrom(machine: string, method: string, path: string, body?: unknown): Promise<Answer> {
    const socket = await eventually(
      'the socket of the machine',
      async () => socketOf(machine),
      (one) => one !== undefined,
      READY_MS,
    )
    const sent = body === undefined ? [] : ['-d', JSON.stringify(body)]
    const words = ['-sS', '--max-time', '80', '--unix-socket', socket ?? '', '-X', method, ...sent]
    const { stdout } = await run('curl', [
      ...words,
      '-w',
      '\n%{http_code}',
      `http://flaps/v1${path}`,
    ])
    const end = stdout.trimEnd().lastIndexOf('\n')
    const text = stdout.slice(0, end)
    return { status: Number(stdout.slice(end)), json: /^[{[]/.test(text) ? JSON.parse(text) : text }
  }

  /** The same, and its status must be this. */
  async must(
    status: number,
    gateway: string,
    method: string,
    path: string,
    body?: unknown,
    by: Organisation = 'birds',
  ) {
    const answer = await this.call(gateway, method, path, body, by)
    assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.json)}`)
    return answer.json
  }

  get #caFile(): string {
    return join(this.folder, 'ca.pem')
  }

  #write(name: string, text: string): string {
    const path = join(this.folder, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }

  /** One folder that all gateways open: they are namespaces of one machine. */
  #makeAccounts(): string {
    const folder = join(this.folder, 'accounts')
    mkdirSync(folder)
    const by = { who: 'cli:test', requestId: '01TEST' }
    const line = newKeyLine('first', systemRandom)
    this.#write('accounts/key-ring', line)
    const path = join(folder, 'accounts.db')
    using accounts = openAccounts({ path, ring: new KeyRing(line, systemRandom) })
    for (const organization of ['birds', 'fish'] as const) {
      accounts.createOrganization(by, { slug: organization })
      accounts.addRootKey(by, { organization })
      const { header } = accounts.createToken(by, { organization, profile: 'org' })
      this.#tokens.set(organization, header)
    }
    return folder
  }

  /** One folder of blobs that the registry of each host reads. */
  async #makeRegistry(): Promise<void> {
    await using registry = await startRealRegistry(this.folder)
    await registry.push(makeBusyboxLayout(this.folder), 'busybox:v1')
    const storage = { filesystem: { rootdirectory: join(this.folder, 'registry') } }
    const http = { addr: '127.0.0.1:5000' }
    this.#write('registry.json', JSON.stringify({ version: '0.1', storage, http }))
  }
}

/** Through the root of a process of the machine, for it has no program that speaks HTTP over a unix socket. */
function socketOf(machine: string): string | undefined {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const variables = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
      const socket = `/proc/${pid}/root/.fly/api`
      if (variables.includes(`FLY_MACHINE_ID=${machine}`) && existsSync(socket)) return socket
    } catch {
      // it has ended
    }
  }
  return undefined
}
