import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { nkeys } from '@nats-io/transport-node'
import { createLog, errorCode, pollUntil } from '#base'
import {
  NatsLink,
  NatsPlacer,
  type NatsServer,
  parseClientId,
  parseHostId,
  parseRegion,
  startNatsServer,
} from '#market'
import { enterOwnHost } from '#net6'
import { ClusterKey } from '../api/cluster-key.ts'
import { HostClients } from '../api/host-clients.ts'
import type { MachineHost } from '../host.ts'
import type { MachineConfigJson } from '../machine-json.ts'
import { figuresOf, withFigures } from './figures.fixture.ts'
import { TrialHost } from './trial-host.fixture.ts'

const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })
const never = new AbortController().signal
const DEADLINE = { deadlineMs: 90_000 }
const CLI = join(import.meta.dirname, '..', '..', 'cli', 'main.ts')
const ams = parseRegion('ams')

enterOwnHost()

let trial: TrialHost
let nats: NatsServer
let link: NatsLink
let placer: NatsPlacer
let clients: HostClients
let host: MachineHost
let daemon: ChildProcess | undefined

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** The daemon as an operator starts it; ready when its API answers. */
async function startDaemon(): Promise<void> {
  daemon = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', CLI, 'flyd', 'run', '-c', trial.configFile],
    { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, GODWIT_LOG: 'fatal' } },
  )
  await pollUntil(
    'the daemon to answer',
    () =>
      host
        .machine('00000000000000', never)
        .catch((error: unknown) => errorCode(error) === 'flyd.not_found'),
    { ...DEADLINE, intervalMs: 20 },
  )
}

async function killDaemon(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
  if (daemon === undefined) return
  const ended = once(daemon, 'exit')
  daemon.kill(signal)
  await ended
  daemon = undefined
}

before(async () => {
  const [apiPort, natsPort] = [await freePort(), await freePort()]
  const [own, client] = [nkeys.createUser(), nkeys.createUser()]
  const seed = (pair: typeof own) => new TextDecoder().decode(pair.getSeed())
  trial = await TrialHost.open(apiPort, (folder) => {
    writeFileSync(join(folder, 'seed'), seed(own))
    return `[nats]\nservers = ["nats://127.0.0.1:${natsPort}"]\nseed_file = "${folder}/seed"\n`
  })
  nats = await startNatsServer({
    folder: join(trial.folder, 'nats'),
    log,
    config: {
      name: 'n1',
      listen: `127.0.0.1:${natsPort}`,
      users: [
        { kind: 'host', nkey: own.getPublicKey(), host: parseHostId('h1'), region: ams },
        { kind: 'client', nkey: client.getPublicKey(), client: parseClientId('flaps1') },
      ],
    },
  })
  link = new NatsLink({ servers: [nats.url], seed: seed(client), name: 'test', log })
  placer = new NatsPlacer({ link, client: parseClientId('flaps1'), log })
  clients = new HostClients({
    addressOf: () => '127.0.0.1',
    port: apiPort,
    key: ClusterKey.read(trial.keyFile),
  })
  host = clients.host('h1')
  await startDaemon()
})

after(async () => {
  await killDaemon('SIGTERM')
  clients[Symbol.dispose]()
  placer[Symbol.dispose]()
  await link[Symbol.asyncDispose]()
  await nats[Symbol.asyncDispose]()
  await trial[Symbol.asyncDispose]()
})

/** Reserved on the market, as flaps does it. Asked again where nobody answered: the daemon may be away. */
async function reserve(): Promise<string> {
  const guest = { cpuKind: 'shared', cpus: 1, memoryMb: 256 } as const
  const place = () =>
    placer.place({ app: 'app1', regions: [ams], guest }, { signal: never }).catch(() => undefined)
  const { reservation } = await pollUntil('a reservation', place, DEADLINE)
  return reservation
}

async function create(config: MachineConfigJson = {}): Promise<string> {
  const input = trial.newMachine(config, { reservation: await reserve() })
  await host.create(input, never)
  return input.id
}

/** Through restarts of the daemon. */
async function waitFor(id: string, ...states: string[]): Promise<void> {
  await pollUntil(
    `${id} to be ${states.join(' or ')}`,
    async () => {
      const state = await host.machine(id, never).then(
        (machine) => machine.state,
        () => undefined,
      )
      return state !== undefined && states.includes(state)
    },
    { ...DEADLINE, intervalMs: 20 },
  )
}

/** Guests of this machine that live: processes of its cgroup. */
function guestsOf(id: string): number {
  const pidFile = join(trial.stateFolder, 'guests', id, 'guest.json')
  if (!existsSync(pidFile)) return 0
  const folders = globSync(`/sys/fs/cgroup{,/*}/godwit/${id}/cgroup.procs`)
  const inits = new Set(
    folders.flatMap((path) => readFileSync(path, 'utf8').split('\n')).filter((pid) => isInit(pid)),
  )
  return inits.size
}

/** The init of a container is process 1 to itself. */
function isInit(pid: string): boolean {
  if (pid === '') return false
  try {
    return /^NSpid:.*\t1$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false // it ended meanwhile
  }
}

/** Source: docs/network.md, the host's end of a machine's link. */
const deviceOf = (id: string) => `gw-${BigInt(`0x${id}`).toString(36)}`

/** What of a machine is on this host. */
function tracesOf(id: string): string[] {
  const { stateFolder, networkFolder } = trial
  return [
    ...(existsSync(`/run/netns/godwit-machine-${id}`) ? ['namespace'] : []),
    ...(existsSync(join(stateFolder, 'guests', id)) ? ['guest folder'] : []),
    ...(existsSync(join(networkFolder, 'machines', `${id}.json`)) ? ['address'] : []),
    ...(existsSync(join(stateFolder, 'exits', id)) ? ['exit record'] : []),
    ...globSync(`/sys/fs/cgroup{,/*}/godwit/${id}`),
    ...readdirSync('/sys/class/net').filter((name) => name === deviceOf(id)),
    ...readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter((line) => line.includes(id)),
    ...globSync(join(stateFolder, 'pool{,/*}/devices', `*${id}*`)),
  ]
}

test('from create to destroy through the API, with the capacity reserved on the market', async () => {
  const id = await create(withFigures)
  await waitFor(id, 'started')
  assert.equal(guestsOf(id), 1)
  const isServed = (found: ReadonlyMap<string, string[]>) => found.has('eggs')
  const found = await pollUntil(
    'the figures of the app',
    async () => await figuresOf(host).then((all) => (isServed(all) ? all : undefined)),
    DEADLINE,
  )
  const here = `app=heron,host=h1,instance=${id}`
  assert.deepEqual(found.get('eggs'), [`${here},nest=a,region=ams 3`])
  assert.deepEqual(found.get('fly_instance_up'), [`${here},region=ams 1`])
  assert.deepEqual(found.get('fly_instance_memory_mem_total'), [`${here},region=ams ${2 ** 28}`])
  assert.match(found.get('fly_instance_net_recv_bytes')?.join() ?? '', /,device=eth0,.* [1-9]\d*$/)
  assert.match(found.get('fly_instance_filesystem_blocks')?.join() ?? '', /,mount=\/,.* [1-9]\d*$/)
  assert.match(found.get('fly_instance_cpu')?.join() ?? '', /,cpu_id=0,.*,mode=system,/)
  assert(!found.has('fly_instance_load_average'), "the host's load is not the machine's")
  const around = { stdin: '', container: undefined, inMachine: false, timeoutMs: 20_000 }
  const { stdout } = await host.exec(id, { command: ['cat', '/www/index.html'], ...around }, never)
  assert.equal(stdout, 'a page\n')
  await host.stop(id, { signal: 'SIGTERM', timeoutMs: 5_000, nonce: undefined }, never)
  await waitFor(id, 'stopped')
  await host.destroy(id, { force: false, nonce: undefined }, never)
  await waitFor(id, 'destroyed')
  assert.deepEqual(tracesOf(id), [])
})

test('killed at any moment of a life and started again, a machine is there once, and goes without a trace', async () => {
  for (const lives of LIVES) {
    const ids = await reaching(lives.map(({ createMs: ageMs }) => ({ ageMs, begin: create })))
    await killDaemon()
    await startDaemon()
    await Promise.all(ids.map((id) => waitFor(id, 'started')))
    for (const [at, id] of ids.entries()) {
      assert.equal(guestsOf(id), 1, `killed ${lives[at]?.createMs} ms after the create`)
    }
    const destroy = (id: string) => () => host.destroy(id, { force: true, nonce: undefined }, never)
    const ends = lives.map(({ endMs: ageMs }, at) => ({ ageMs, begin: destroy(ids[at] ?? '') }))
    await reaching(ends)
    await killDaemon()
    await startDaemon()
    await Promise.all(ids.map((id) => waitFor(id, 'destroyed')))
    for (const [at, id] of ids.entries()) {
      assert.deepEqual(tracesOf(id), [], `killed ${lives[at]?.endMs} ms after the destroy`)
    }
  }
})

/** How long before a kill each machine was created, and destroyed: a kill hits several at moments of their own. */
const LIVES = [
  [
    { createMs: 0, endMs: 0 },
    { createMs: 140, endMs: 120 },
  ],
  [
    { createMs: 15, endMs: 400 },
    { createMs: 60, endMs: 30 },
    { createMs: 260, endMs: 250 },
  ],
] as const

/** Begins each so much before the last one is done. */
async function reaching<T>(
  all: readonly { readonly ageMs: number; readonly begin: () => Promise<T> }[],
): Promise<T[]> {
  const oldestMs = Math.max(...all.map(({ ageMs }) => ageMs))
  return await Promise.all(
    all.map(async ({ ageMs, begin }) => {
      await passed(oldestMs - ageMs)
      return await begin()
    }),
  )
}

/** The moment of a kill is what varies: no state is waited for. */
const passed = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('ten machines at once are all made, and all go', async () => {
  const ids = await Promise.all(Array.from({ length: 10 }, () => create()))
  await Promise.all(ids.map((id) => waitFor(id, 'started')))
  assert.deepEqual(ids.map(guestsOf), Array(10).fill(1))
  await Promise.all(ids.map((id) => host.destroy(id, { force: true, nonce: undefined }, never)))
  await Promise.all(ids.map((id) => waitFor(id, 'destroyed')))
  assert.deepEqual(ids.flatMap(tracesOf), [])
})

test('without NATS what is there starts, stops and is destroyed', async () => {
  const id = await create()
  await waitFor(id, 'started')
  await nats[Symbol.asyncDispose]()
  await host.stop(id, { signal: undefined, timeoutMs: undefined, nonce: undefined }, never)
  await waitFor(id, 'stopped')
  await host.start(id, { nonce: undefined }, never)
  await waitFor(id, 'started')
  await host.destroy(id, { force: true, nonce: undefined }, never)
  await waitFor(id, 'destroyed')
})
