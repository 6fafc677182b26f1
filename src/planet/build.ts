import { waitConverged } from './convergence.ts'
import { startDelay } from './delay/start-delay.ts'
import { PlanetError } from './errors.ts'
import { createFolders, delayControlSocket, readRecord, runFolder, writeRecord } from './folders.ts'
import { createLinks } from './links.ts'
import { withLock } from './lock.ts'
import { MEMBER_MARK } from './node.ts'
import { checkPlanetName, type LinkEnd, netnsName, type WorldPlan } from './plan.ts'
import { ipBatch } from './system.ts'
import { listPlanets, teardown } from './teardown.ts'
import { World } from './world.ts'

/** BGP sessions start within a second or two; the rest is for a machine that is busy. */
const CONVERGENCE_DEADLINE_MS = 60_000

/** Told before each step of a build, for people who wait. */
export type Progress = (step: string) => void

export interface BuildOptions {
  readonly progress?: Progress
  readonly signal?: AbortSignal
}

/**
 * Builds a planet, or finds it standing. What a builder that died left behind is removed first. When
 * a step fails, everything made so far is removed again.
 *
 * @throws PlanetError planet.exists: one of that name stands, with another topology.
 * @throws PlanetError planet.busy, planet.system, planet.not_converged
 */
export function buildPlanet(plan: WorldPlan, options: BuildOptions = {}): Promise<World> {
  return withLock(plan.name, async () => {
    const record = readRecord(plan.name)
    if (record?.state === 'ready') return reuse(plan, record.plan, options)
    const progress = options.progress ?? (() => undefined)
    if (listPlanets().includes(plan.name)) {
      progress('removing what an interrupted build left')
      await teardown(plan.name)
    }
    try {
      return await makeAll(plan, progress, options.signal)
    } catch (error) {
      progress('removing what was made')
      await teardown(plan.name) // without the signal: an interrupted build still clears up
      throw error
    }
  })
}

async function reuse(plan: WorldPlan, found: WorldPlan, options: BuildOptions): Promise<World> {
  if (JSON.stringify(found) !== JSON.stringify(plan)) {
    throw new PlanetError('planet.exists', {
      what: 'a planet of that name stands, with another topology',
      values: { planet: plan.name },
      fix: `remove it first: godwit planet down --planet ${plan.name}`,
    })
  }
  const world = new World(found)
  for (const node of world.nodes) {
    if (!node.isUp) options.progress?.(`booting ${node.name}`)
    await world.boot(node.name, options.signal)
  }
  return world
}

async function makeAll(plan: WorldPlan, progress: Progress, signal?: AbortSignal): Promise<World> {
  createFolders(plan)
  writeRecord({ state: 'building', plan })
  const world = new World(plan)
  progress(`making ${plan.nodes.length} namespaces`)
  await ipBatch(
    plan.nodes.map(({ netns }) => `netns add ${netns}`),
    { signal },
  )
  await Promise.all(world.nodes.map((node) => node.boot(signal)))
  progress(`laying ${plan.links.length} links`)
  await createLinks(plan, signal)
  await startDelays(plan, progress, signal)
  progress('starting the routers')
  await Promise.all(world.nodes.map((node) => node.join(new Set(), signal)))
  progress('waiting for the routers to agree')
  await waitForRouters(world, signal)
  writeRecord({ state: 'ready', plan })
  return world
}

/** Delayed links are pairs of TAP devices that one process of the planet joins. */
async function startDelays(plan: WorldPlan, progress: Progress, signal?: AbortSignal) {
  const delayed = plan.links.filter(({ delayUs }) => delayUs > 0)
  if (delayed.length === 0) return
  progress(`stretching ${delayed.length} links to their length`)
  const endOf = ({ node, interface: tap }: LinkEnd) => ({
    netns: `/run/netns/${netnsName(plan.name, node)}`,
    tap,
  })
  const links = delayed.map(({ name, delayUs, ends: [a, b] }) => ({
    name,
    delayUs,
    ends: [endOf(a), endOf(b)] as [ReturnType<typeof endOf>, ReturnType<typeof endOf>],
  }))
  const { ready } = startDelay(
    { links, controlSocket: delayControlSocket(plan.name) },
    {
      configFile: runFolder(plan.name, 'delay', 'config.json'),
      logFile: runFolder(plan.name, 'delay', 'delay.log'),
      env: { ...process.env, [MEMBER_MARK]: plan.name },
      ...(signal === undefined ? {} : { signal }),
    },
  )
  await ready
}

async function waitForRouters(world: World, signal?: AbortSignal): Promise<void> {
  const all = world.ofKind('host').map(({ name }) => name)
  const silentHosts = new Set(world.plan.announcesAtBoot ? [] : all)
  await waitConverged(world.plan, { silentHosts }, CONVERGENCE_DEADLINE_MS, signal)
}

/** Removes a planet, or what is left of one. May run twice; false when there was nothing. */
export async function removePlanet(name: string, signal?: AbortSignal): Promise<boolean> {
  checkPlanetName(name)
  return withLock(name, async () => {
    if (!listPlanets().includes(name)) return false
    await teardown(name, signal)
    return true
  })
}
