import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { nkeys } from '@nats-io/transport-node'
import { createLog, pollUntil } from '#base'
import type { HostCapacity } from './capacity.ts'
import { CapacityBook } from './capacity-book.ts'
import { type HostFacts, type HostView, parseClientId, parseHostId, parseRegion } from './host.ts'
import type { NatsUser } from './nats-config.ts'
import { NatsLink } from './nats-link.ts'
import { NatsPlacer, type NatsPlacerOptions } from './nats-placer.ts'
import { type NatsServer, startNatsServer } from './nats-server.ts'
import type { PlacementRequest } from './placement-request.ts'
import { type BidServer, serveBids } from './serve-bids.ts'

export const ams = parseRegion('ams')
export const nrt = parseRegion('nrt')
export const host = parseHostId
export const quietLog = createLog({ part: 'market', level: 'silent' })
export const soon = { deadlineMs: 15_000 }

const GIB = 2 ** 30
/** 16 threads, 32 GiB, 1 TiB. */
export const capacity: HostCapacity = { cpus: 16, memoryMb: 32_768, volumeBytes: 1_024 * GIB }

export const small = { cpuKind: 'shared', cpus: 1, memoryMb: 256 } as const
export const whole = { cpuKind: 'performance', cpus: 16, memoryMb: 32_768 } as const
export const request: PlacementRequest = { app: 'web', guest: small, regions: [ams] }

export const emptyView: HostView = {
  holds: () => false,
  countOfApp: () => 0,
  hasImage: () => false,
}

export const factsOf = (id: string, region = ams): HostFacts => ({
  host: host(id),
  region,
  hardware: 'epyc-9554',
})

/** A market for tests: a real server, and hosts and a placer that connect to it. */
export class TestMarket {
  readonly server: NatsServer
  readonly #t: TestContext
  readonly #seeds: Map<string, string>

  private constructor(t: TestContext, server: NatsServer, seeds: Map<string, string>) {
    this.#t = t
    this.server = server
    this.#seeds = seeds
  }

  /** A server that knows these hosts of `ams`, hosts of other regions as `id@region`, and `flaps1`. */
  static async start(t: TestContext, hosts: readonly string[]): Promise<TestMarket> {
    const seeds = new Map<string, string>()
    const users = usersOf(hosts, seeds)
    const folder = mkdtempSync(join(tmpdir(), 'godwit-market-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const listen = `127.0.0.1:${await freePort()}`
    const server = await startNatsServer({
      config: { name: 'test', listen, users },
      folder,
      log: quietLog,
      policy: { backoff: { baseMs: 10, capMs: 50 }, probePeriodMs: 25 },
    })
    t.after(() => server[Symbol.asyncDispose]())
    return new TestMarket(t, server, seeds)
  }

  /** Other hosts than before, with new keys. */
  replaceUsers(hosts: readonly string[]): void {
    this.server.setUsers(usersOf(hosts, this.#seeds))
  }

  /** Tries to come in with a key that the server does not know; has been refused once. */
  async strangersLink(): Promise<NatsLink> {
    let refusals = 0
    const count = () => {
      refusals += 1
    }
    const log = createLog({
      part: 'market',
      level: 'warn',
      format: 'json',
      destination: { write: count },
    })
    this.#seeds.set('stranger', newSeed().seed)
    const link = this.#open('stranger', log)
    await pollUntil('a refusal', () => refusals > 0, soon)
    return link
  }

  #open(name: string, log = quietLog): NatsLink {
    const seed = this.#seeds.get(name) ?? ''
    const backoff = { baseMs: 10, capMs: 50 }
    const link = new NatsLink({ servers: [this.server.url], seed, name, log, backoff })
    this.#t.after(() => link[Symbol.asyncDispose]())
    return link
  }

  /** Connected as one of the users. */
  async link(name: string): Promise<NatsLink> {
    const link = this.#open(name)
    await connected(link)
    return link
  }

  async placer(options: Partial<NatsPlacerOptions> = {}): Promise<NatsPlacer> {
    const link = await this.link('flaps1')
    const client = parseClientId('flaps1')
    const placer = new NatsPlacer({ link, client, log: quietLog, ...options })
    this.#t.after(() => placer[Symbol.dispose]())
    await link.flush()
    return placer
  }

  /** A host that bids. */
  async host(id: string, { region = ams, view = emptyView, size = capacity } = {}) {
    const link = await this.link(id)
    const book = new CapacityBook({ capacity: size })
    const facts = factsOf(id, region)
    const bids: BidServer = serveBids({ link, book, facts, view, log: quietLog })
    this.#t.after(() => bids[Symbol.dispose]())
    await link.flush()
    return { link, book, bids }
  }
}

function newSeed(): { seed: string; nkey: string } {
  const pair = nkeys.createUser()
  return { seed: new TextDecoder().decode(pair.getSeed()), nkey: pair.getPublicKey() }
}

function usersOf(hosts: readonly string[], seeds: Map<string, string>): NatsUser[] {
  const newKey = (name: string) => {
    const { seed, nkey } = newSeed()
    seeds.set(name, seed)
    return nkey
  }
  const users: NatsUser[] = hosts.map((name) => {
    const [id = '', region = 'ams'] = name.split('@')
    const own = { host: host(id), region: parseRegion(region) }
    return { kind: 'host', nkey: newKey(id), ...own }
  })
  return [...users, { kind: 'client', nkey: newKey('flaps1'), client: parseClientId('flaps1') }]
}

export const connected = (link: NatsLink) =>
  pollUntil('a connection to NATS', () => link.isConnected, soon)

/** Free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  const { promise, resolve } = Promise.withResolvers<number>()
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    resolve(typeof address === 'object' ? (address?.port ?? 0) : 0)
  })
  const port = await promise
  await new Promise((closed) => server.close(closed))
  return port
}
