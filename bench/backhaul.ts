import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { seededRandom } from '#base'
import { ProxyRouter, ROUTING_LIMITS, RoutingCore, RoutingTable } from '#proxy'
import type { Way } from './backhaul/roles.ts'
import { type Bench, type Figure, median } from './figures.ts'

const ROUNDS = 5
const REQUESTS = 20_000
const WAYS: readonly Way[] = ['backhaul', 'tcp', 'http2']
const DECISIONS = 200_000

/**
 * Requests of 400 bytes answered with 1,000, 64 at a time, from an edge through a worker to a machine, a process each
 * on loopback. CPU is of edge and worker together. The peers: a bare TCP relay that knows nothing of whom it serves
 * (a connection for each client, piped), and node:http2, two sessions, a stream a request.
 */
export const bench: Bench = {
  name: 'backhaul',
  summary: 'a request from edge to worker: our protocol, a bare TCP relay, HTTP/2; and a decision',
  async run(progress) {
    const machine = start('machine', [])
    const [machinePort = 0] = await portsOf(machine)
    const worker = start('worker', [machinePort])
    const ports = await portsOf(worker)
    const edge = start('edge', [...ports, machinePort])
    await portsOf(edge)
    try {
      const results = await interleaved(edge, worker, progress)
      progress('decisions')
      return [...figuresOf(results), decisionFigure()]
    } finally {
      for (const child of [machine, worker, edge]) child.kill()
    }
  },
}

type Results = ReadonlyMap<Way, { readonly cpuUs: number[]; readonly perS: number[] }>

async function interleaved(
  edge: ChildProcess,
  worker: ChildProcess,
  progress: (step: string) => void,
): Promise<Results> {
  const results = new Map(WAYS.map((way) => [way, { cpuUs: [] as number[], perS: [] as number[] }]))
  for (const way of WAYS) await ask(edge, { ask: 'run', way, count: REQUESTS / 4 })
  for (let round = 1; round <= ROUNDS; round += 1) {
    for (const way of WAYS) {
      progress(`round ${round} of ${ROUNDS}: ${way}`)
      const before = await cpuOf(edge, worker)
      const { ms } = (await ask(edge, { ask: 'run', way, count: REQUESTS })) as { ms: number }
      const used = (await cpuOf(edge, worker)) - before
      results.get(way)?.cpuUs.push(used / REQUESTS)
      results.get(way)?.perS.push((REQUESTS / ms) * 1_000)
    }
  }
  return results
}

function figuresOf(results: Results): Figure[] {
  const of = (way: Way) => {
    const { cpuUs = [], perS = [] } = results.get(way) ?? {}
    return { cpuUs: median(cpuUs), perS: median(perS) }
  }
  const ours = of('backhaul')
  const each = WAYS.flatMap((way): Figure[] => [
    {
      key: `cpu_${way}_us`,
      value: of(way).cpuUs,
      what: `CPU of edge and worker for a request, ${way}`,
      better: 'lower',
    },
    { key: `rate_${way}_per_s`, value: of(way).perS, what: `requests, ${way}`, better: 'higher' },
  ])
  const ratio = (peer: Way): Figure => ({
    key: `ratio_cpu_vs_${peer}`,
    value: ours.cpuUs / of(peer).cpuUs,
    what: `CPU of the backhaul against ${peer}`,
    better: 'lower',
  })
  return [...each, ratio('tcp'), ratio('http2')]
}

/** Accept, route and release for one of 1,000 apps with 10 machines each in 4 regions. */
function decisionFigure(): Figure {
  const table = new RoutingTable({ ownHostId: 'h0' })
  for (let host = 0; host < 20; host += 1) {
    table.put('hosts', { id: `h${host}`, region: `r${host % 4}`, state: 'ready' }, 0)
    table.put('host_links', { host_id: 'h0', peer_id: `h${host}`, rtt_us: host * 3_000 }, 0)
  }
  for (let app = 0; app < 1_000; app += 1) putApp(table, app)
  const now = { nowMs: () => 0, monotonicMs: () => performance.now() }
  const clock = {
    ...now,
    setTimer: () => ({ [Symbol.dispose]: () => undefined }),
    sleep: async () => undefined,
  }
  const waker = { start: () => undefined, stop: () => undefined }
  const random = seededRandom(1)
  const core = new RoutingCore({ table, waker, clock, random, limits: ROUTING_LIMITS })
  const router = new ProxyRouter({ core })
  const decide = (turn: number) => {
    const entrance = router.accept({
      ...{ clientAddress: '198.51.100.1', clientPort: 1, localPort: 443 },
      localAddress: `10.1.${(turn % 1_000) >> 8}.${(turn % 1_000) & 255}`,
    })
    if (entrance === undefined) throw new Error('no entrance')
    const decision = router.route({ ...REQUEST, entrance })
    if (!('lease' in decision)) throw new Error('no machine')
    decision.lease.connected(1)
    decision.lease.release('done', NOTHING)
  }
  for (let turn = 0; turn < DECISIONS / 4; turn += 1) decide(turn)
  const before = process.cpuUsage()
  for (let turn = 0; turn < DECISIONS; turn += 1) decide(turn)
  const { user, system } = process.cpuUsage(before)
  return {
    key: 'decision_us',
    value: (user + system) / DECISIONS,
    what: 'accept, route and release among 1,000 apps of 10 machines',
    better: 'lower',
  }
}

const NOTHING = { sent: 0, received: 0 }
const REQUEST = {
  connection: { clientAddress: '', clientPort: 1, localAddress: '', localPort: 443 },
  kind: 'http',
  isTls: true,
  serverName: '',
  method: 'GET',
  host: 'a.test',
  target: '/',
  requestId: 'id',
  header: () => undefined,
  attempts: [],
  signal: new AbortController().signal,
} as const

function putApp(table: RoutingTable, app: number): void {
  table.put('apps', { id: `a${app}`, name: `a${app}`, org_id: 'o' }, 0)
  table.put('ips', { address: `10.1.${app >> 8}.${app & 255}`, app_id: `a${app}`, kind: 'v4' }, 0)
  for (let at = 0; at < 10; at += 1) {
    const id = `m${app}-${at}`
    const host = (app + at) % 20
    const row = { id, host_id: `h${host}`, app_id: `a${app}`, region: `r${host % 4}` }
    table.put('machines', { ...row, state: 'started', private_ipv4: '127.0.0.1' }, 0)
    const ports = '[{"port":443,"handlers":["tls","http"]}]'
    const service = { machine_id: id, protocol: 'tcp', internal_port: 8080, app_id: `a${app}` }
    table.put('services', { ...service, ports, autostart: 1 }, 0)
  }
}

function start(role: string, ports: readonly number[]): ChildProcess {
  const file = new URL('./backhaul/roles.ts', import.meta.url)
  return fork(file, [role, ...ports.map(String)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
}

const portsOf = async (child: ChildProcess): Promise<readonly number[]> =>
  ((await once(child, 'message')) as [{ ports: number[] }])[0].ports

async function ask(child: ChildProcess, question: object): Promise<unknown> {
  child.send(question)
  const [answer] = await once(child, 'message')
  return answer
}

async function cpuOf(...children: readonly ChildProcess[]): Promise<number> {
  let sum = 0
  for (const child of children)
    sum += ((await ask(child, { ask: 'cpu' })) as { cpuUs: number }).cpuUs
  return sum
}
