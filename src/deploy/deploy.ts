import type { AppConfig, ReadLocalFile } from '#app-config'
import {
  type Clock,
  inParallel,
  parseGoDurationMs,
  type Random,
  systemClock,
  systemRandom,
} from '#base'
import { type Before, createMachine, destroyMachine } from './change-machine.ts'
import { type DeployContext, type DeployWaits, defaultWaits } from './deploy-context.ts'
import type { Tell } from './deploy-event.ts'
import { type DeployPlan, type MachineUpdate, type PlanChoice, planDeploy } from './deploy-plan.ts'
import { DeployError } from './errors.ts'
import { assignFirstIps, type PublicIps, tellOfUdp } from './first-ips.ts'
import { createNew, makeVolumes } from './make-machines.ts'
import type { Platform } from './platform.ts'
import type { Release } from './release.ts'
import { runReleaseCommand } from './release-command.ts'
import { rollBack } from './roll-back.ts'
import { switchBlueGreen } from './strategy/bluegreen.ts'
import { tryCanaries } from './strategy/canary.ts'
import { updateAtOnce } from './strategy/immediate.ts'
import { updateRolling } from './strategy/rolling.ts'

export type Strategy = 'rolling' | 'immediate' | 'canary' | 'bluegreen'

export interface DeployOptions {
  readonly platform: Platform
  readonly config: AppConfig
  /** With its digest. */
  readonly image: string
  readonly release: Release
  readonly readLocalFile: ReadLocalFile
  readonly tell: Tell
  /** @default `[deploy] strategy`, else rolling */
  readonly strategy?: Strategy
  readonly maxUnavailable?: number
  /** @default 8 */
  readonly maxConcurrent?: number
  readonly choice?: PlanChoice
  readonly waits?: Partial<DeployWaits>
  readonly skipReleaseCommand?: boolean
  /** Machines keep a release that failed. @default false: they get back what they had */
  readonly keepFailed?: boolean
  readonly publicIps?: PublicIps
  readonly envOverrides?: Readonly<Record<string, string>>
  readonly stopSignal?: string
  readonly signal?: AbortSignal
  readonly clock?: Clock
  readonly random?: Random
}

export interface DeployResult {
  readonly updated: number
  readonly created: number
  readonly destroyed: number
  /** Already had this release: from a deploy of it that was interrupted. */
  readonly unchanged: number
}

const MAX_CONCURRENT = 8
const RELEASE_COMMAND_MS = 300_000

/**
 * Brings a release to every machine of an app. When a machine fails, those that were changed get back what
 * they had; a deploy that was interrupted goes on where it was when the same release is deployed again.
 *
 * @throws DeployError: errors.ts; ApiError; AppConfigError
 */
export async function deploy(options: DeployOptions): Promise<DeployResult> {
  const { platform, config, image, release, readLocalFile, tell } = options
  const context = contextOf(options)
  const [machines, volumes] = await Promise.all([platform.machines.list(), platform.volumes()])
  const region = config.primary_region ?? (await platform.nearestRegion())
  const full = planDeploy({
    config,
    image,
    release,
    machines,
    volumes,
    region,
    readLocalFile,
    choice: options.choice ?? {},
    ...(options.envOverrides === undefined ? {} : { envOverrides: options.envOverrides }),
  })
  const updates = full.updates.filter((update) => !isDone(update))
  const plan = { ...full, updates }
  tell({
    kind: 'planned',
    updates: updates.length,
    creates: plan.creates.length + plan.replacements.length,
    destroys: plan.destroys.length,
  })
  const strategy = strategyOf(options)
  checkStrategy(strategy, plan)
  const addresses = plan.isFirst ? assignFirstIps : tellOfUdp
  await addresses(platform, config, options.publicIps ?? 'shared', tell)
  if (config.deploy?.release_command !== undefined && options.skipReleaseCommand !== true) {
    const timeoutMs =
      parseGoDurationMs(config.deploy.release_command_timeout ?? '') ?? RELEASE_COMMAND_MS
    await runReleaseCommand(context, { config, image, release, machines, region, timeoutMs })
  }
  const mounted = await makeVolumes(platform, plan.volumes, tell)
  const creates = plan.creates.map(mounted)
  const replacements = plan.replacements.map(mounted)
  await changeAll(context, { ...plan, creates, replacements }, strategy, options)
  return {
    updated: updates.length,
    created: plan.creates.length + plan.replacements.length,
    destroyed: plan.destroys.length,
    unchanged: full.updates.length - updates.length,
  }
}

function contextOf(options: DeployOptions): DeployContext {
  const { platform, clock = systemClock, random = systemRandom, tell, config } = options
  const configured = parseGoDurationMs(config.deploy?.wait_timeout ?? '')
  return {
    machines: platform.machines,
    clock,
    random,
    signal: options.signal ?? new AbortController().signal,
    tell,
    waits: {
      ...defaultWaits,
      ...(configured === undefined ? {} : { machineMs: configured }),
      ...options.waits,
    },
  }
}

const strategyOf = ({ strategy, config }: DeployOptions): Strategy =>
  strategy ?? (config.deploy?.strategy as Strategy | undefined) ?? 'rolling'

function checkStrategy(strategy: Strategy, { updates }: DeployPlan): void {
  const hasMounts = updates.some(({ config }) => (config.mounts ?? []).length > 0)
  if (!hasMounts || strategy === 'rolling' || strategy === 'immediate') return
  throw new DeployError('deploy.not_possible', {
    what: `${strategy} deployment strategy is not supported when using mounted volumes`,
    fix: 'deploy with --strategy rolling',
  })
}

/** It has this release already, and runs or rests as it should. */
function isDone({ machine, config }: MachineUpdate): boolean {
  const has = machine.config?.metadata ?? {}
  const wants = config.metadata ?? {}
  return (
    has['fly_release_id'] === wants['fly_release_id'] &&
    has['fly_release_version'] === wants['fly_release_version'] &&
    machine.config?.image === config.image &&
    machine.state !== 'failed'
  )
}

async function changeAll(
  context: DeployContext,
  plan: DeployPlan,
  strategy: Strategy,
  options: DeployOptions,
): Promise<void> {
  const { maxConcurrent = MAX_CONCURRENT } = options
  const changed: Before[] = []
  try {
    await updateBy(context, plan, strategy, options, changed)
    await inParallel(plan.replacements, maxConcurrent, async (replacement) => {
      context.signal.throwIfAborted()
      await createMachine(context, replacement, { isWatched: strategy !== 'immediate' })
      await destroyMachine(context, replacement.machine)
    })
    await createNew(context, plan.creates, {
      isWatched: strategy !== 'immediate',
      maxConcurrent,
    })
  } catch (error) {
    throw await afterFailure(context, error, changed, options)
  }
  await inParallel(plan.destroys, maxConcurrent, (machine) => destroyMachine(context, machine))
}

async function updateBy(
  context: DeployContext,
  { updates, isFirst }: DeployPlan,
  strategy: Strategy,
  options: DeployOptions,
  changed: Before[],
): Promise<void> {
  const { maxConcurrent = MAX_CONCURRENT, stopSignal, config } = options
  const onChanged = (before: Before) => void changed.push(before)
  if (strategy === 'immediate') return updateAtOnce(context, updates, { maxConcurrent, onChanged })
  if (strategy === 'bluegreen') {
    const signal = stopSignal === undefined ? {} : { stopSignal }
    return switchBlueGreen(context, updates, { maxConcurrent, ...signal })
  }
  if (strategy === 'canary' && !isFirst) await tryCanaries(context, updates)
  const maxUnavailable = options.maxUnavailable ?? config.deploy?.max_unavailable
  await updateRolling(context, updates, {
    ...(maxUnavailable === undefined ? {} : { maxUnavailable }),
    onChanged,
  })
}

/** What the caller is told: the failure, or that the deploy was ended and can go on. */
async function afterFailure(
  context: DeployContext,
  error: unknown,
  changed: readonly Before[],
  { keepFailed = false, signal }: DeployOptions,
): Promise<unknown> {
  if (signal?.aborted) {
    return new DeployError('deploy.interrupted', {
      what: 'the deploy was interrupted',
      values: { changed: changed.length },
      fix: 'deploy again: it goes on with the machines that are left',
      cause: error,
    })
  }
  if (keepFailed || changed.length === 0) return error
  const failed = await rollBack(context, changed)
  if (failed.length === 0) return error
  return new DeployError('deploy.incomplete', {
    what: 'the deploy failed, and so did going back on some machines',
    values: { machines: failed.map(({ machine }) => machine.id).join(' ') },
    fix: 'look at them with `godwit machine status`, then deploy a release that works',
    cause: error,
  })
}
