import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { createLog, systemClock, systemRandom } from '#base'
import { newKeyLine } from '#seal'
import { EdgeKeyRing } from '../certificates/edge-key-ring.ts'
import { close } from '../net/libc.ts'
import { openListener } from '../net/socket.ts'
import { openRouting, type Routing, type RoutingOptions } from '../router/open-routing.ts'
import { saveTable } from '../routing-table/saved-table.ts'
import { type MachineOptions, TableFixture } from '../routing-table/table.fixture.ts'
import { TICKET_KEY_BYTES } from '../tls/tls-context.ts'
import type { WakeHost } from '../wake/host-waker.ts'
import { type Serving, serve } from './serve.ts'

const log = createLog({ part: 'proxy', level: 'fatal' })
const keys = new EdgeKeyRing(newKeyLine('k', systemRandom), systemRandom)
/** Nothing listens there: both know what their tables say. */
const DEAD = { url: 'http://127.0.0.1:9' }

/** The edge `h1` in ams, and the worker `h2` in fra with machine `m1`, joined by a backhaul on loopback. */
export interface TwoHosts extends AsyncDisposable {
  readonly port: number
  readonly edge: Routing
  readonly worker: Routing
  readonly serving: Serving
}

export async function startTwoHosts(options: {
  /** Where machine `m1` listens. */
  machine: number
  handlers?: readonly string[]
  more?: MachineOptions
  /** `http_options` of the port. */
  http?: object
  /** Of all machines. */
  statics?: object[]
  openFiles?: () => Duplex
  /** A machine of the edge's own, `m2`. */
  ownMachine?: number
  /** Of the worker. */
  worker?: Partial<RoutingOptions>
}): Promise<TwoHosts> {
  await using opened = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'godwit-two-hosts-'))
  opened.defer(() => rmSync(folder, { recursive: true }))
  const [port, backhaulPort] = [await freePort(), await freePort()]
  const { openFiles } = options
  const hostOf = (): WakeHost | undefined =>
    openFiles === undefined ? undefined : { ...asleep, connect: async () => openFiles() }
  let serving: Serving | undefined
  const open = async (
    ownHostId: string,
    backhaulAddress: string | undefined,
    more: Partial<RoutingOptions>,
  ) => {
    const rows = new TableFixture(ownHostId).host('h1', 'ams').host('h2', 'fra').app('a')
    for (const [id, region] of [['h1', 'ams'] as const, ['h2', 'fra'] as const]) {
      rows.table.put('hosts', { id, region, state: 'ready', backhaul_ip: '127.0.0.1' }, 0)
    }
    rows.ip('127.0.0.1', 'a')
    const ports = [
      { port, handlers: options.handlers ?? ['http'], http_options: options.http ?? {} },
    ]
    const { service, ...columns } = options.more ?? {}
    const add = (id: string, host: string, internal_port: number) => {
      rows.machine(id, 'a', host, { ports, ...columns, service: { internal_port, ...service } })
      const statics = JSON.stringify(options.statics ?? [])
      rows.change(id, { private_ipv4: '127.0.0.1', statics })
    }
    add('m1', 'h2', options.machine)
    if (options.ownMachine !== undefined) add('m2', 'h1', options.ownMachine)
    const tablePath = join(folder, ownHostId)
    await saveTable(rows.table, tablePath)
    const routing = await openRouting({
      ...{ ownHostId, appDomain: '', corrosion: DEAD, tablePath, keys },
      ...{ backhaulPort, backhaulAddress, hostOf },
      ...{ clock: systemClock, random: systemRandom, log, ...more },
    })
    opened.defer(() => routing.close())
    return routing
  }
  const worker = await open('h2', '127.0.0.1', options.worker ?? {})
  const edge = await open('h1', undefined, { closeUpgrades: ({ id }) => void serving?.goAway(id) })
  const fd = openListener('127.0.0.1', port)
  opened.defer(() => void close(fd))
  const started = serve({
    router: edge.router,
    certificates: edge.certificates,
    listeners: [fd],
    region: 'ams',
    log,
    ticketKey: Buffer.alloc(TICKET_KEY_BYTES, 7),
    openRemote: (decision, client, handlers) => edge.open(decision, client, handlers),
  })
  serving = started
  opened.defer(() => started.close())
  const held = opened.move()
  return { port, edge, worker, serving: started, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

const none = () => Promise.reject(new Error('nobody is started or stopped here'))
const asleep: WakeHost = { start: none, stop: none, suspend: none, machine: none }

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  return address.port
}
