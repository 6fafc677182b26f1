import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { pollUntil, systemClock } from '#base'
import { HELLO_APP, HELLO_LAYOUT, makeHelloImage, ORGANIZATION, raisePlatform } from '#box'
import {
  BOX_TOPOLOGY,
  buildPlanet,
  loadTopology,
  planWorld,
  removePlanet,
  type World,
} from '#planet'
import { type Bench, type Figure, median, quantile } from './figures.ts'

const GODWIT = resolve(import.meta.dirname, '../bin/godwit')
const NAME = 'bench-deploy'
const APP = 'hello'
const HOST = `${APP}.godwit.localhost`
const CITIES = { 'ams-client': 'ams', 'iad-client': 'iad', 'nrt-client': 'nrt' } as const
const ROUNDS = 3
const WAKES = 12
const IDLE_MS = 15_000
const VISIT_MS = 120_000
/** Of /proc/PID/stat. Source: proc_pid_stat(5); a tick is 10 ms on every Linux that we run on. */
const TICK_MS = 10
const PAGE_BYTES = 4096

const run = promisify(execFile)

/**
 * The whole platform on six hosts with the latency of real cables. A deploy is over when a visitor in each of
 * three cities gets the new release from a machine of that region. A wake is a visit of an app whose only machine is
 * stopped; beside it, in the same round, the same visit while it runs.
 */
export const bench: Bench = {
  name: 'deploy',
  summary:
    'a deploy until three cities see it, a visit that wakes a machine, what idle daemons cost',
  async run(progress) {
    const folder = mkdtempSync(join(tmpdir(), 'godwit-bench-deploy-'))
    try {
      const topology = loadTopology(BOX_TOPOLOGY)
      const world = await buildPlanet(planWorld(NAME, topology), { progress })
      const profilePath = join(folder, 'cli.json')
      await raisePlatform(world, { topology, progress, apiPort: 0, webPort: 0, profilePath })
      await makeHelloImage()
      const app = join(folder, 'fly.toml')
      writeFileSync(app, wakingConfig())
      const godwit = async (...words: string[]) => {
        const env = { ...process.env, GODWIT_PROFILE: profilePath }
        return (await run(GODWIT, words, { env })).stdout
      }
      const deploys = await measureDeploys(world, { godwit, app }, progress)
      const idle = await measureIdle(world, progress)
      return [...deploys, ...(await measureWakes(world, godwit, progress)), ...idle]
    } finally {
      await removePlanet(NAME)
      rmSync(folder, { recursive: true })
    }
  },
}

type Godwit = (...words: string[]) => Promise<string>
type Progress = (step: string) => void

/** The demo app's, whose machines may be woken. */
const wakingConfig = () =>
  readFileSync(join(HELLO_APP, 'fly.toml'), 'utf8').replace(
    'auto_stop_machines = "off"',
    'auto_stop_machines = "off"\nauto_start_machines = true',
  )

const deployWords = (app: string, greeting: string) => [
  ...['deploy', '-c', app, '--image', HELLO_LAYOUT, '--no-ha', '--no-smoke-checks'],
  ...['-e', `GREETING=${greeting}`],
]

async function measureDeploys(
  world: World,
  { godwit, app }: { godwit: Godwit; app: string },
  progress: Progress,
): Promise<Figure[]> {
  progress('the first deploy, and one machine in each region')
  await godwit('apps', 'create', APP, '--org', ORGANIZATION)
  await godwit(...deployWords(app, 'round0'))
  const everywhere = ['--region', 'ams,iad,nrt', '--max-per-region', '1', '--yes']
  await godwit('scale', 'count', '3', '-a', APP, ...everywhere)
  await seenEverywhere(world, 'round0')
  const seconds: number[] = []
  for (let round = 1; round <= ROUNDS; round += 1) {
    progress(`deploy, round ${round} of ${ROUNDS}`)
    const startedMs = performance.now()
    const deploying = godwit(...deployWords(app, `round${round}`))
    const [, endMs] = await Promise.all([
      deploying,
      seenEverywhere(world, `round${round}`).then(() => performance.now()),
    ])
    seconds.push((endMs - startedMs) / 1000)
  }
  return [
    {
      key: 'deploy_p50_s',
      value: median(seconds),
      what: 'godwit deploy until three cities get it from their region; image known',
      better: 'lower',
    },
  ]
}

/** Every city is answered by its own region, with this greeting. */
async function seenEverywhere(world: World, greeting: string): Promise<void> {
  const cities = Object.entries(CITIES)
  await Promise.all(
    cities.map(([city, region]) =>
      pollUntil(
        `${greeting} in ${city}`,
        async () => (await visit(world, city)).page.startsWith(`${greeting} from ${region}:`),
        { deadlineMs: VISIT_MS, intervalMs: 50 },
      ),
    ),
  )
}

/** A new connection, as a visitor's first one. */
async function visit(world: World, city: string): Promise<{ page: string; firstByteMs: number }> {
  const words = ['-s', '--max-time', '60', '-H', `host: ${HOST}`, 'http://203.0.113.1']
  const printed = await world
    .node(city)
    .run('curl', [...words, '-w', '\n%{time_starttransfer}'])
    .catch((error: Error) => `${error.message}\n0`)
  const at = printed.lastIndexOf('\n')
  return { page: printed.slice(0, at), firstByteMs: Number(printed.slice(at + 1)) * 1000 }
}

async function measureWakes(world: World, godwit: Godwit, progress: Progress): Promise<Figure[]> {
  await godwit('scale', 'count', '0', '-a', APP, '--region', 'iad,nrt', '--yes')
  const { machines } = JSON.parse(await godwit('status', '-a', APP, '--json')) as {
    machines: { id: string; region: string }[]
  }
  const id = machines[0]?.id ?? ''
  const woken: number[] = []
  const running: number[] = []
  for (let round = 1; round <= WAKES; round += 1) {
    progress(`a visit that wakes, round ${round} of ${WAKES}`)
    await godwit('machine', 'stop', id, '-a', APP)
    woken.push(await answeredMs(world))
    running.push(await answeredMs(world))
  }
  return [
    {
      key: 'wake_p50_ms',
      value: median(woken),
      what: 'first byte of a visit to a stopped machine (container)',
      better: 'lower',
    },
    {
      key: 'wake_p99_ms',
      value: quantile(woken, 0.99),
      what: `the slowest of ${WAKES}`,
      better: 'lower',
    },
    {
      key: 'running_p50_ms',
      value: median(running),
      what: 'the same visit while it runs',
      better: 'lower',
    },
  ]
}

async function answeredMs(world: World): Promise<number> {
  const { page, firstByteMs } = await visit(world, 'ams-client')
  if (page.includes(' from ams: machine ')) return firstByteMs
  throw new Error(`a visit got ${JSON.stringify(page.slice(0, 200))}`)
}

/** Of everything that runs on the six hosts but BIRD: daemons of ours, nats-server, an idle machine. */
async function measureIdle(world: World, progress: Progress): Promise<Figure[]> {
  progress(`nothing happens for ${IDLE_MS / 1000} s`)
  const before = await usage(world)
  await systemClock.sleep(IDLE_MS)
  const after = await usage(world)
  const percent = ((after.cpuMs - before.cpuMs) / IDLE_MS) * 100
  const hosts = world.ofKind('host').length
  return [
    { key: 'rss_mib', value: after.rssBytes / 2 ** 20, what: `${hosts} hosts`, better: 'lower' },
    {
      key: 'rss_per_host_mib',
      value: after.rssBytes / 2 ** 20 / hosts,
      what: 'of which one host; shared pages count for each process',
      better: 'lower',
    },
    {
      key: 'idle_cpu_percent',
      value: percent,
      what: `of one core, ${hosts} hosts together`,
      better: 'lower',
    },
  ]
}

async function usage(world: World): Promise<{ rssBytes: number; cpuMs: number }> {
  let [rssBytes, cpuMs] = [0, 0]
  for (const { name } of world.ofKind('host')) {
    const stats = await world
      .node(name)
      .run('sh', ['-c', 'cat /proc/[0-9]*/stat 2>/dev/null || true'])
    for (const line of stats.trim().split('\n')) {
      const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
      cpuMs += (Number(fields[11]) + Number(fields[12])) * TICK_MS
      rssBytes += Number(fields[21]) * PAGE_BYTES
    }
  }
  return { rssBytes, cpuMs }
}
