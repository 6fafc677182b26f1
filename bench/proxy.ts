import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Bench, type Figure, median, quantile } from './figures.ts'
import { h2load, type Load, openIdle, paced, webSockets, wrk } from './proxy/load.ts'
import { FIRST_PORT, type Peer, type Site, startMachine, startPeers } from './proxy/peers.ts'

const ROUNDS = 3
const SECONDS = 1
/** A just-in-time compiler is through with a path after some ten thousand requests. */
const WARM_UP_SECONDS = 3
const CONNECTIONS = 64
/** Far below what the slowest peer takes. */
const PACED_PER_SECOND = 1500
const PACED_MS = 2500
const IDLE_CONNECTIONS = 10_000

/** One kind of load; `unit` is what one of its requests is called. */
interface Scenario {
  readonly name: string
  readonly what: string
  readonly load: (peer: Peer, seconds: number) => Promise<Load>
}

const http = (peer: Peer, path = '/') => `http://127.0.0.1:${peer.http}${path}`
const https = (peer: Peer) => `https://127.0.0.1:${peer.tls}/`
const close = ['Connection: close']

const scenarios: readonly Scenario[] = [
  {
    name: 'http',
    what: 'HTTP/1.1, small answers',
    load: (peer, seconds) => wrk(http(peer), { seconds, connections: CONNECTIONS }),
  },
  {
    name: 'connect',
    what: 'a new connection each',
    load: (peer, seconds) => wrk(http(peer), { seconds, connections: CONNECTIONS, headers: close }),
  },
  {
    name: 'tls',
    what: 'TLS 1.3, small answers',
    load: (peer, seconds) => wrk(https(peer), { seconds, connections: CONNECTIONS }),
  },
  {
    name: 'handshake',
    what: 'a full TLS handshake each',
    load: (peer, seconds) =>
      wrk(https(peer), { seconds, connections: CONNECTIONS, headers: close }),
  },
  {
    name: '1mb',
    what: 'answers of 1 MB',
    load: (peer, seconds) => wrk(http(peer, '/1mb'), { seconds, connections: 8 }),
  },
  {
    name: 'websocket',
    what: 'WebSocket messages of 38 bytes, there and back',
    load: (peer, seconds) => webSockets(peer.ws, { milliseconds: seconds * 1000, connections: 32 }),
  },
  {
    name: 'h2',
    what: 'HTTP/2, small answers',
    load: (peer, seconds) => h2load(https(peer), seconds),
  },
]

/**
 * Each proxy has the same core for itself, the load and the machine (nginx) share the other; one proxy
 * works at a time, in turn.
 */
export const bench: Bench = {
  name: 'proxy',
  summary:
    'requests through the proxy, beside HAProxy, nginx and Caddy with equal features, one core each',
  async run(progress) {
    await using stack = new AsyncDisposableStack()
    const folder = mkdtempSync(join(tmpdir(), 'godwit-bench-proxy-'))
    stack.defer(() => rmSync(folder, { recursive: true, force: true }))
    const site: Site = { folder, machine: FIRST_PORT, echo: FIRST_PORT + 1 }
    keepToLoadCore()
    progress('starting the machine and four proxies')
    stack.use(await startMachine(folder, site.machine))
    stack.use(await startEcho(site.echo))
    const peers = await startPeers(site, stack)
    const costs = await measureScenarios(peers, progress)
    const latencies = await measureLatencies(peers, progress)
    const idle = await measureIdle(peers, progress)
    return [...costFigures(costs, peers), ...latencyFigures(latencies), ...idle]
  },
}

/** This process makes load, too. Its children keep to the core that they are given. */
const keepToLoadCore = () => void execFileSync('taskset', ['-acp', '1', String(process.pid)])

/** The answer to the load's key (RFC 6455, section 4.2.2), which HAProxy checks. */
const ACCEPT = createHash('sha1')
  .update('AAAAAAAAAAAAAAAAAAAAAA==258EAFA5-E914-47DA-95CA-C5AB0DC85B11')
  .digest('base64')

/** Takes any upgrade and gives back what comes. */
async function startEcho(port: number): Promise<AsyncDisposable> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', () => {
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`,
      )
      socket.on('data', (chunk) => socket.write(chunk))
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', 1024, resolve))
  return {
    async [Symbol.asyncDispose]() {
      server.close()
    },
  }
}

interface Cost {
  readonly perSecond: number
  readonly cpuUs: number
  readonly bytesPerSecond: number
}

type Costs = Map<string, Map<string, Cost[]>>

async function measureScenarios(
  peers: readonly Peer[],
  progress: (step: string) => void,
): Promise<Costs> {
  const costs: Costs = new Map()
  for (const { name, load } of scenarios) {
    const byPeer = new Map<string, Cost[]>(peers.map((peer) => [peer.name, []]))
    costs.set(name, byPeer)
    for (let round = 0; round <= ROUNDS; round += 1) {
      progress(`${name}, ${round === 0 ? 'to warm up' : `round ${round} of ${ROUNDS}`}`)
      for (const peer of peers) {
        const cost = await measure(peer, load, round === 0 ? WARM_UP_SECONDS : SECONDS)
        if (round > 0) byPeer.get(peer.name)?.push(cost)
      }
    }
  }
  return costs
}

async function measure(peer: Peer, load: Scenario['load'], length: number): Promise<Cost> {
  const beforeNs = peer.cpuNs()
  const { requests, bytes, seconds } = await load(peer, length)
  const cpuUs = (peer.cpuNs() - beforeNs) / 1000
  return { perSecond: requests / seconds, cpuUs: cpuUs / requests, bytesPerSecond: bytes / seconds }
}

function costFigures(costs: Costs, peers: readonly Peer[]): Figure[] {
  const figures: Figure[] = []
  const middle = (scenario: string, peer: string, key: keyof Cost) =>
    median((costs.get(scenario)?.get(peer) ?? []).map((cost) => cost[key]))
  for (const { name, what } of scenarios) {
    for (const peer of peers) {
      const label = `${what}: ${peer.name}`
      figures.push({
        key: `${name}_${peer.name}_per_s`,
        value: middle(name, peer.name, 'perSecond'),
        what: label,
        better: 'higher',
      })
      figures.push({
        key: `${name}_${peer.name}_cpu_us`,
        value: middle(name, peer.name, 'cpuUs'),
        what: `${label}, CPU each`,
        better: 'lower',
      })
    }
    for (const peer of peers.filter((one) => one.name !== 'ours')) {
      const value = middle(name, 'ours', 'cpuUs') / middle(name, peer.name, 'cpuUs')
      figures.push({
        key: `ratio_cpu_vs_${peer.name}_${name}`,
        value,
        what: `${what}: CPU, ours to ${peer.name}`,
        better: 'lower',
      })
    }
  }
  const throughput =
    middle('1mb', 'ours', 'bytesPerSecond') / middle('1mb', 'haproxy', 'bytesPerSecond')
  figures.push({
    key: 'ratio_throughput_1mb_vs_haproxy',
    value: throughput,
    what: 'bytes a second, ours to haproxy',
    better: 'higher',
  })
  return figures
}

async function measureLatencies(
  peers: readonly Peer[],
  progress: (step: string) => void,
): Promise<Map<string, number[][]>> {
  const all = new Map<string, number[][]>(peers.map(({ name }) => [name, []]))
  for (let round = 1; round <= ROUNDS; round += 1) {
    progress(`${PACED_PER_SECOND} requests a second, round ${round} of ${ROUNDS}`)
    for (const peer of peers) {
      const latencies = await paced(peer.http, {
        perSecond: PACED_PER_SECOND,
        milliseconds: PACED_MS,
        connections: 32,
      })
      all.get(peer.name)?.push(latencies)
    }
  }
  return all
}

function latencyFigures(all: ReadonlyMap<string, number[][]>): Figure[] {
  const at = (name: string, ratio: number) =>
    median((all.get(name) ?? []).map((latencies) => quantile(latencies, ratio)))
  const figures = [...all.keys()].flatMap((name): Figure[] => [
    {
      key: `p50_${name}_us`,
      value: at(name, 0.5),
      what: `latency at ${PACED_PER_SECOND}/s: ${name}`,
      better: 'lower',
    },
    {
      key: `p99_${name}_us`,
      value: at(name, 0.99),
      what: `latency at ${PACED_PER_SECOND}/s: ${name}`,
      better: 'lower',
    },
  ])
  const ratio = at('ours', 0.99) / at('haproxy', 0.99)
  return [
    ...figures,
    { key: 'ratio_p99_vs_haproxy', value: ratio, what: 'p99, ours to haproxy', better: 'lower' },
  ]
}

async function measureIdle(
  peers: readonly Peer[],
  progress: (step: string) => void,
): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const peer of peers) {
    progress(`${IDLE_CONNECTIONS} idle connections: ${peer.name}`)
    const before = peer.rssBytes()
    using connections = await openIdle(peer.http, IDLE_CONNECTIONS)
    const mib = peer.rssBytes() / 2 ** 20
    const each = (peer.rssBytes() - before) / connections.open
    figures.push({
      key: `rss_idle_${peer.name}_mib`,
      value: mib,
      what: `memory with ${IDLE_CONNECTIONS} idle connections: ${peer.name}`,
      better: 'lower',
    })
    figures.push({
      key: `idle_${peer.name}_bytes`,
      value: each,
      what: `an idle connection: ${peer.name}`,
      better: 'lower',
    })
  }
  return figures
}
