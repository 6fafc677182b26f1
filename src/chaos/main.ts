/**
 * `npm run chaos`: random faults on a planet under load, and whether the platform's promises held. Exit codes: 0
 * they did, 1 one was broken, 64 the command line was wrong (sysexits.h, EX_USAGE), 130 it was interrupted.
 */
import { execFile } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { seededRandom } from '#base'
import {
  APP_DOMAIN,
  HELLO_APP,
  HELLO_LAYOUT,
  makeHelloImage,
  ORGANIZATION,
  raisePlatform,
} from '#box'
import { FlapsClient } from '#flaps-client'
import {
  BOX_TOPOLOGY,
  buildPlanet,
  loadTopology,
  planWorld,
  removePlanet,
  type World,
} from '#planet'
import { planFaults, type Targets } from './faults.ts'
import { inflict } from './inflict.ts'
import { brokenPromises } from './invariants.ts'
import { APPS, runLoad } from './load.ts'
import { WriteLedger } from './write-ledger.ts'

const GODWIT = join(import.meta.dirname, '../../bin/godwit')
const PLANET = 'chaos'
const EXIT_USAGE = 64
const EXIT_INTERRUPTED = 130
const MORTAL_PARTS = ['flyd', 'corrosion', 'proxy', 'net', 'dns']
const GATEWAY_PARTS = ['flaps', 'nats']
const run = promisify(execFile)

const usage = `Breaks a planet at random under load, mends it, and looks whether all promises held.

  npm run chaos -- [--minutes N] [--seed N] [--keep]

  --minutes N  how long faults come (default: 10)
  --seed N     the timeline of an earlier run (default: a fresh one, which is printed)
  --keep       leaves the planet as it is at the end: planet "${PLANET}"`

const startedMs = performance.now()
const tell = (text: string) => {
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  process.stdout.write(`${seconds.padStart(7)} s  ${text}\n`)
}

const flags = readFlags()
if (flags === undefined) {
  process.stdout.write(`${usage}\n`)
  process.exitCode = EXIT_USAGE
} else process.exitCode = (await chaos(flags)).length === 0 ? 0 : 1

interface Flags {
  readonly minutes: number
  readonly seed: number
  readonly keep: boolean
}

function readFlags(): Flags | undefined {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: 'string', default: '10' },
        seed: { type: 'string' },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    const minutes = Number(values.minutes)
    const seed = values.seed === undefined ? randomInt(2 ** 32) : Number(values.seed)
    const isGood = minutes > 0 && minutes <= 1_440 && Number.isSafeInteger(seed)
    return isGood && !values.help ? { minutes, seed, keep: values.keep } : undefined
  } catch {
    return undefined // an option that is not known: the usage says which are
  }
}

async function chaos({ minutes, seed, keep }: Flags): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-chaos-'))
  process.env['GODWIT_PROFILE'] = join(folder, 'cli.json')
  if (!keep) leaveNothingWhenInterrupted(folder)
  try {
    tell(`seed ${seed}, ${minutes} minutes: again with --seed ${seed} --minutes ${minutes}`)
    const topology = { ...loadTopology(BOX_TOPOLOGY), latency: false }
    await removePlanet(PLANET)
    const world = await buildPlanet(planWorld(PLANET, topology), { progress: tell })
    const broken = await breakAndLook(world, topology, { minutes, seed })
    for (const one of broken) tell(`BROKEN: ${one}`)
    tell(broken.length === 0 ? 'every promise held' : `${broken.length} promises were broken`)
    return broken
  } finally {
    if (!keep) await removePlanet(PLANET)
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What is under way fails meanwhile, for its hosts are gone: nobody needs to hear of it. */
function leaveNothingWhenInterrupted(folder: string): void {
  const leave = async () => {
    tell('interrupted: removing the planet')
    await removePlanet(PLANET)
    rmSync(folder, { recursive: true, force: true })
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => leave().finally(() => process.exit(EXIT_INTERRUPTED)))
  }
}

async function breakAndLook(
  world: World,
  topology: ReturnType<typeof loadTopology>,
  { minutes, seed }: Pick<Flags, 'minutes' | 'seed'>,
): Promise<string[]> {
  const ports = { apiPort: 0, webPort: 0 }
  const { platform, gateway, profile, web } = await raisePlatform(world, {
    ...{ topology, progress: tell, ...ports },
  })
  const { api: url, token, ca } = profile
  using client = new FlapsClient({ url, token, ...(ca === undefined ? {} : { ca }) })
  await deployApps()
  const lists = APPS.map(async (app) => [app, await client.machines(app).list()] as const)
  const machines = Object.fromEntries(await Promise.all(lists))
  const random = seededRandom(seed)
  const faults = planFaults(random, targetsOf(world, gateway), minutes * 60_000)
  tell(`${faults.length} faults are to come`)
  const ledger = new WriteLedger()
  const ending = new AbortController()
  const around = { client, world, ledger, random, machines, signal: ending.signal }
  const load = runLoad({ ...around, address: web.address ?? '', domain: APP_DOMAIN })
  await inflict(platform, faults, { tell, signal: ending.signal })
  ending.abort()
  const visits = await load
  tell(
    `writes: ${ledger.acknowledgedCount} acknowledged, ${ledger.unknownCount} of unknown outcome`,
  )
  tell(`visits: ${visits.answered} answered, ${visits.failed} failed while things were broken`)
  tell('all is mended; looking')
  return await brokenPromises({ platform, client, ledger, visits, tell })
}

async function deployApps(): Promise<void> {
  await makeHelloImage()
  for (const app of APPS) {
    tell(`deploying ${app}, a machine in each region`)
    const deploy = ['deploy', '-c', HELLO_APP, '-a', app, '--image', HELLO_LAYOUT, '--no-ha']
    await run(GODWIT, ['apps', 'create', app, '--org', ORGANIZATION])
    await run(GODWIT, deploy, { cwd: tmpdir() })
    const spread = ['--region', 'ams,iad,nrt', '--max-per-region', '1']
    await run(GODWIT, ['scale', 'count', '3', ...spread, '-a', app, '--yes'])
  }
}

/** The gateway keeps its power and its disk, for accounts are there alone; its daemons die like all others. */
function targetsOf(world: World, gateway: string): Targets {
  const names = world.ofKind('host').map(({ name }) => name)
  const links = world.plan.links.map(({ ends: [a, b] }) => [a.node, b.node] as const)
  const isLeaf = (name: string) => world.node(name).plan.kind !== 'transit'
  return {
    hosts: names.map((name) => ({
      name,
      parts: name === gateway ? [...MORTAL_PARTS, ...GATEWAY_PARTS] : MORTAL_PARTS,
    })),
    mortal: names.filter((name) => name !== gateway),
    links: links.filter((ends) => !ends.some((end) => isLeaf(end) && !names.includes(end))),
  }
}
