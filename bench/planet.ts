import { execFileSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import { pollUntil } from '#base'
import {
  BOX_TOPOLOGY,
  buildPlanet,
  loadTopology,
  planWorld,
  type RequestRecord,
  removePlanet,
  requestLoop,
  type World,
  type WorldPlan,
  whoamiServer,
} from '#planet'
import { type Bench, type Figure, median, quantile } from './figures.ts'

const NAME = 'bench'
const ROUNDS = 5
const PORT = 8080
const INTERVAL_MS = 5
const ANSWER_DEADLINE_MS = 30_000
const URLS = [`http://203.0.113.1:${PORT}`, `http://[2001:db8:a::1]:${PORT}`] as const

/**
 * The box: six hosts in three regions, five routers, five clients. Up means that every router's kernel
 * has every route. The peer lays the same namespaces, links and addresses with one `ip` command
 * each, and routes nothing: the floor that `up` stands on.
 */
export const bench: Bench = {
  name: 'planet',
  summary: 'planet up and down, and anycast failover as a client sees it',
  async run(progress) {
    try {
      const lifecycle = await measureLifecycle(progress)
      return [...lifecycle, ...(await measureFailover(progress))]
    } finally {
      await removePlanet(NAME)
    }
  },
}

const planBox = (latency: boolean) =>
  planWorld(NAME, { ...loadTopology(BOX_TOPOLOGY), latency, bgp_hold_s: 3 })

async function timed(work: () => unknown): Promise<number> {
  const startedMs = performance.now()
  await work()
  return performance.now() - startedMs
}

async function measureLifecycle(progress: (step: string) => void): Promise<Figure[]> {
  const ups: number[] = []
  const downs: number[] = []
  const longUps: number[] = []
  const peers: number[] = []
  for (let round = 1; round <= ROUNDS; round += 1) {
    progress(`up and down, round ${round} of ${ROUNDS}`)
    ups.push(await timed(() => buildPlanet(planBox(false))))
    downs.push(await timed(() => removePlanet(NAME)))
    longUps.push(await timed(() => buildPlanet(planBox(true))))
    await removePlanet(NAME)
    peers.push(await timed(() => layByHand(planBox(false))))
  }
  const up = median(ups)
  return [
    { key: 'up_ms', value: up, what: 'until all routers agree, no latency', better: 'lower' },
    {
      key: 'up_latency_ms',
      value: median(longUps),
      what: 'the same, real latency',
      better: 'lower',
    },
    { key: 'down_ms', value: median(downs), what: 'everything removed', better: 'lower' },
    { key: 'ip_ms', value: median(peers), what: 'peer: one ip command a piece', better: 'lower' },
    { key: 'ratio_up_vs_ip', value: up / median(peers), what: 'up against peer', better: 'lower' },
  ]
}

function layByHand(plan: WorldPlan): void {
  const netns = new Map(plan.nodes.map(({ name }) => [name, `godwit-bench-ip.${name}`]))
  const ip = (line: string) => execFileSync('ip', line.split(' '))
  try {
    for (const name of netns.values()) ip(`netns add ${name}`)
    for (const { ends } of plan.links) {
      const [a, b] = ends.map((end) => `${end.interface} netns ${netns.get(end.node)}`)
      ip(`link add ${a} type veth peer name ${b}`)
      for (const end of ends) {
        const inside = `-n ${netns.get(end.node)}`
        ip(`${inside} addr add ${end.ipv4}/31 dev ${end.interface}`)
        ip(`${inside} addr add ${end.ipv6}/64 dev ${end.interface} nodad`)
        ip(`${inside} link set ${end.interface} up`)
      }
    }
  } finally {
    for (const name of netns.values())
      execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' })
  }
}

/** What a client in Tokyo saw of one change: both address families, each request on a new connection. */
interface Failover {
  /** From the change to the sending of the first request that another region answered. */
  readonly switchMs: number
  readonly asked: number
  readonly failed: number
}

async function measureFailover(progress: (step: string) => void): Promise<Figure[]> {
  const world = await buildPlanet(planBox(false))
  for (const { name } of world.ofKind('host')) await world.start(name, 'whoami', whoamiServer(PORT))
  const withdraws: Failover[] = []
  const cuts: Failover[] = []
  for (let round = 1; round <= ROUNDS; round += 1) {
    progress(`failover, round ${round} of ${ROUNDS}`)
    withdraws.push(await watch(world, () => eachTokyoHost(world, (host) => world.withdraw(host))))
    await eachTokyoHost(world, (host) => world.announce(host))
    await world.settle()
    const cut = () => eachTokyoHost(world, (host) => world.cut('nrt', host, { silent: true }))
    cuts.push(await watch(world, cut))
    await eachTokyoHost(world, (host) => world.heal('nrt', host))
    await world.settle()
  }
  return [
    ...figuresOf('withdraw', 'a withdraw', withdraws),
    ...figuresOf('silent_cut', 'a silent cut, hold time 3 s', cuts),
  ]
}

async function eachTokyoHost(world: World, act: (host: string) => Promise<void>): Promise<void> {
  const hosts = world.ofKind('host').filter(({ plan }) => plan.region === 'nrt')
  await Promise.all(hosts.map(({ name }) => act(name)))
}

function figuresOf(key: string, what: string, all: readonly Failover[]): Figure[] {
  const switches = all.map(({ switchMs }) => switchMs)
  const sum = (of: 'asked' | 'failed') => all.reduce((total, one) => total + one[of], 0)
  return [
    {
      key: `${key}_p50_ms`,
      value: median(switches),
      what: `failover after ${what}`,
      better: 'lower',
    },
    {
      key: `${key}_max_ms`,
      value: quantile(switches, 1),
      what: 'the slowest round',
      better: 'lower',
    },
    { key: `${key}_asked`, value: sum('asked'), what: 'requests, all rounds', better: 'higher' },
    { key: `${key}_failed`, value: sum('failed'), what: 'of which got no answer', better: 'lower' },
  ]
}

async function watch(world: World, change: () => Promise<void>): Promise<Failover> {
  const [command, ...args] = requestLoop(URLS, { intervalMs: INTERVAL_MS, deadlineMs: 1000 })
  const client = world.node('nrt-client').spawn(command, args)
  const records: RequestRecord[] = []
  if (client.stdout !== null) {
    createInterface(client.stdout).on('line', (line) => records.push(JSON.parse(line)))
  }
  const isAway = ({ answer }: RequestRecord) => answer !== undefined && !answer.startsWith('nrt')
  const counted = (isIt: (record: RequestRecord) => boolean) =>
    URLS.every((url) => records.filter((one) => one.url === url && isIt(one)).length >= 20)
  const options = { deadlineMs: ANSWER_DEADLINE_MS }
  try {
    await pollUntil('answers from Tokyo', () => counted((one) => one.answer !== undefined), options)
    const changedMs = Date.now()
    await change()
    await pollUntil('answers from elsewhere', () => counted(isAway), options)
    const firstAway = URLS.map((url) => records.find((one) => one.url === url && isAway(one)))
    const switchMs = Math.max(...firstAway.map((one) => (one?.sentMs ?? Infinity) - changedMs))
    return {
      switchMs,
      asked: records.length,
      failed: records.filter(({ answer }) => answer === undefined).length,
    }
  } finally {
    if (client.pid !== undefined) process.kill(-client.pid, 'SIGKILL')
  }
}
