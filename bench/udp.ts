import { type ChildProcess, fork } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { startDeadline } from '#base'
import { freeUdpPort } from './dns/load-client.ts'
import { type Bench, type Figure, median } from './figures.ts'

const ROUNDS = 5
const ROUND_TRIPS = 40_000
const CLIENTS = 64
const PAYLOAD_BYTES = 100
const SERVICE = '127.0.0.5'
const AGAIN_MS = 1_000
const ROUND_MS_MAX = 120_000
const WAYS = ['ours', 'bare'] as const
type Way = (typeof WAYS)[number]

/**
 * Datagrams of 64 clients, each with one under way, from an edge to a worker and back, a process each on loopback. The
 * peer is a bare pair on node:dgram, with the same two hops: a forwarder with a socket for each client, and an echo. What ours
 * does besides: flows and their limits, whose machine it is, a head with client and service, IPv4 packets to and from
 * the machine. The raw socket of a machine's link is left out: `echoWire` stands for it.
 */
export const bench: Bench = {
  name: 'udp',
  summary: "public UDP from a client over edge and worker and back, and a bare forwarder's",
  async run(progress) {
    const ways = { ours: await open('edge', 'worker'), bare: await open('forwarder', 'echo') }
    try {
      return figuresOf(await interleaved(ways, progress))
    } finally {
      for (const way of Object.values(ways)) way.close()
    }
  },
}

interface Pair {
  readonly clients: readonly Socket[]
  readonly children: readonly ChildProcess[]
  readonly port: number
  close(): void
}

async function open(...roles: readonly string[]): Promise<Pair> {
  const [port, meshPort] = [await freeUdpPort(), await freeUdpPort()]
  const children = roles.map((role) => start(role, port, meshPort))
  await Promise.all(children.map((child) => once(child, 'message')))
  const clients = Array.from({ length: CLIENTS }, () => createSocket('udp4'))
  for (const client of clients) client.setMaxListeners(0)
  return {
    ...{ clients, children, port },
    close() {
      for (const client of clients) client.close()
      for (const child of children) child.kill('SIGKILL')
    },
  }
}

function start(...words: readonly (string | number)[]): ChildProcess {
  const execArgv = ['--disable-warning=ExperimentalWarning']
  return fork(`${import.meta.dirname}/udp/roles.ts`, words.map(String), { execArgv })
}

type Results = Record<Way, { cpuUs: number[]; perS: number[]; lost: number }>

async function interleaved(
  pairs: Record<Way, Pair>,
  progress: (step: string) => void,
): Promise<Results> {
  const results: Results = {
    ours: { cpuUs: [], perS: [], lost: 0 },
    bare: { cpuUs: [], perS: [], lost: 0 },
  }
  for (const way of WAYS) await roundTrips(pairs[way], ROUND_TRIPS / 2)
  for (let round = 1; round <= ROUNDS; round += 1) {
    for (const way of WAYS) {
      progress(`round ${round} of ${ROUNDS}: ${way}`)
      const before = await cpuUs(pairs[way])
      const { ms, lost } = await roundTrips(pairs[way], ROUND_TRIPS)
      results[way].cpuUs.push(((await cpuUs(pairs[way])) - before) / ROUND_TRIPS)
      results[way].perS.push((ROUND_TRIPS / ms) * 1_000)
      results[way].lost += lost
    }
  }
  return results
}

async function cpuUs({ children }: Pair): Promise<number> {
  let sum = 0
  for (const child of children) {
    child.send('cpu')
    const [{ cpuUs: own }] = (await once(child, 'message')) as [{ cpuUs: number }]
    sum += own
  }
  return sum
}

/** UDP may lose some: who hears nothing asks again. @throws BaseError base.deadline_exceeded */
async function roundTrips({ clients, port }: Pair, count: number) {
  using deadline = startDeadline('the answers', ROUND_MS_MAX)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  deadline.signal.addEventListener('abort', () => reject(deadline.signal.reason))
  const payload = Buffer.alloc(PAYLOAD_BYTES, 'x')
  const startMs = performance.now()
  let [answered, lost] = [0, 0]
  const heardMs = new Map(clients.map((client) => [client, startMs]))
  const ask = (client: Socket) => client.send(payload, port, SERVICE)
  for (const client of clients) {
    client.removeAllListeners('message').on('message', () => {
      answered += 1
      heardMs.set(client, performance.now())
      if (answered === count) resolve()
      else if (answered < count) ask(client)
    })
    ask(client)
  }
  const again = setInterval(() => {
    for (const [client, atMs] of heardMs) {
      if (performance.now() - atMs < AGAIN_MS) continue
      lost += 1
      ask(client)
    }
  }, AGAIN_MS)
  try {
    await promise
    return { ms: performance.now() - startMs, lost }
  } finally {
    clearInterval(again)
    for (const client of clients) client.removeAllListeners('message')
  }
}

function figuresOf(results: Results): Figure[] {
  const each = WAYS.flatMap((way): Figure[] => [
    {
      key: `cpu_${way}_us`,
      value: median(results[way].cpuUs),
      what: `CPU of both processes for a round trip, ${way}`,
      better: 'lower',
    },
    {
      key: `rate_${way}_per_s`,
      value: median(results[way].perS),
      what: `round trips, ${way}`,
      better: 'higher',
    },
    {
      key: `lost_${way}`,
      value: results[way].lost,
      what: `datagrams that were sent again, ${way}`,
      better: 'lower',
    },
  ])
  const ratio = median(results.ours.cpuUs) / median(results.bare.cpuUs)
  return [
    ...each,
    { key: 'ratio_cpu_vs_bare', value: ratio, what: 'CPU against the bare pair', better: 'lower' },
  ]
}
