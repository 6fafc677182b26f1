import { ApiError, type Machine } from '#flaps-client'
import type { DeployContext } from './deploy-context.ts'
import type { MachinePhase } from './deploy-event.ts'
import { DeployError } from './errors.ts'
import {
  checkCount,
  configOf,
  crashSinceStart,
  groupOf,
  healthOf,
  launchFailure,
  wasLeftStopped,
} from './machine-facts.ts'

const POLL_MS = 500
const POLL_MS_MAX = 2_000
/** A machine that was just made may not be in every replica yet. */
const NOT_SEEN_MS = 10_000

/** resting: it was stopped while it was being updated, and has its new version at rest. */
export type Watched = 'healthy' | 'resting'

/**
 * Waits until the machine's present version has started, lived through its first seconds and passes its
 * checks.
 *
 * @throws DeployError deploy.not_started, deploy.crashed, deploy.unhealthy
 */
export async function watchUntilHealthy(
  context: DeployContext,
  machine: Machine,
): Promise<Watched> {
  if ((await untilStarted(context, machine)) === 'resting') return 'resting'
  await smokeTest(context, machine)
  await untilChecksPass(context, machine)
  return 'healthy'
}

/** @throws DeployError deploy.not_started, deploy.crashed */
export async function untilStarted(
  context: DeployContext,
  machine: Machine,
): Promise<'resting' | 'started'> {
  const { machines, waits, signal } = context
  say(context, machine, 'starting')
  const options = {
    states: ['started', 'stopped', 'failed'],
    version: machine.instance_id,
    timeoutMs: waits.machineMs,
  }
  try {
    await machines.wait(machine.id, options, { signal })
  } catch (cause) {
    if (!(cause instanceof ApiError)) throw cause
    throw await notStarted(context, machine, cause)
  }
  const now = await seen(context, machine)
  if (wasLeftStopped(now)) return 'resting'
  if (now.state === 'failed') throw await notStarted(context, machine)
  const crash = crashSinceStart(now.events)
  if (crash !== undefined) throw crashed(machine.id, crash.exitCode, crash.isOutOfMemory)
  return 'started'
}

async function notStarted(
  context: DeployContext,
  { id }: Machine,
  cause?: ApiError,
): Promise<DeployError> {
  const { waits } = context
  const now = await settled(context, id, cause?.code === 'api.conflict')
  const crash = crashSinceStart(now?.events)
  if (crash !== undefined) return crashed(id, crash.exitCode, crash.isOutOfMemory)
  const why = launchFailure(now?.events)
  if (why !== undefined) {
    return new DeployError('deploy.not_started', {
      what: 'a machine could not be started',
      values: { machine: id, why },
      fix: /registry|image|manifest/i.test(why)
        ? "look at the image's name, and whether the hosts reach its registry"
        : `look at \`godwit machine status ${id}\``,
      cause,
    })
  }
  return new DeployError('deploy.not_started', {
    what: 'a machine did not start',
    values: { machine: id, state: now?.state, says: cause?.what, waitedMs: waits.machineMs },
    fix: `look at \`godwit logs --machine ${id}\`; a longer time to start is --wait-timeout`,
    cause,
  })
}

/**
 * What became of it; undefined: not known. Its row may be behind its host, which has told already that the version is
 * replaced: by somebody, or because it could not be prepared, and then the reason is on its way.
 */
async function settled(
  { machines, clock, signal }: DeployContext,
  id: string,
  isReplaced: boolean,
): Promise<Machine | undefined> {
  const endMs = clock.monotonicMs() + NOT_SEEN_MS
  for (;;) {
    const now = await machines.get(id).catch(() => undefined)
    const isKnown = now?.state !== 'replacing' && launchFailure(now?.events) !== undefined
    if (!isReplaced || isKnown || clock.monotonicMs() >= endMs) return now
    await clock.sleep(POLL_MS, signal)
  }
}

/** Its events are looked at until it has lived for a while, or has ended. */
async function smokeTest(context: DeployContext, machine: Machine): Promise<void> {
  const { clock, waits, signal } = context
  if (waits.smokeMs === 0) return
  say(context, machine, 'watching')
  const endMs = clock.monotonicMs() + waits.smokeMs
  do {
    await clock.sleep(Math.min(POLL_MS_MAX, waits.smokeMs), signal)
    const now = await seen(context, machine)
    const crash = crashSinceStart(now.events)
    if (crash !== undefined) throw crashed(machine.id, crash.exitCode, crash.isOutOfMemory)
  } while (clock.monotonicMs() < endMs)
}

/** @throws DeployError deploy.unhealthy, deploy.crashed */
export async function untilChecksPass(context: DeployContext, machine: Machine): Promise<void> {
  const { clock, waits, signal } = context
  if (checkCount(configOf(machine)) === 0) return
  const endMs = clock.monotonicMs() + waits.machineMs
  let told = ''
  for (let pauseMs = POLL_MS; ; pauseMs = Math.min(pauseMs * 2, POLL_MS_MAX)) {
    const now = await seen(context, machine)
    const crash = crashSinceStart(now.events)
    if (crash !== undefined) throw crashed(machine.id, crash.exitCode, crash.isOutOfMemory)
    const health = healthOf(now)
    const detail = `${health.passing}/${health.total} checks passing`
    if (detail !== told) say(context, machine, 'checking', detail)
    told = detail
    if (health.isHealthy) return
    if (clock.monotonicMs() >= endMs) throw unhealthy(machine, detail, health.failing)
    await clock.sleep(pauseMs, signal)
  }
}

/** The machine as it is now; one that nobody has heard of yet is waited for. */
async function seen(
  { machines, clock, signal }: DeployContext,
  machine: Machine,
): Promise<Machine> {
  const endMs = clock.monotonicMs() + NOT_SEEN_MS
  for (;;) {
    try {
      return await machines.get(machine.id, { signal })
    } catch (error) {
      const isUnknown = error instanceof ApiError && error.code === 'api.not_found'
      if (!isUnknown || clock.monotonicMs() >= endMs) throw error
      await clock.sleep(POLL_MS, signal)
    }
  }
}

export function say(
  { tell }: DeployContext,
  machine: Machine,
  phase: MachinePhase,
  detail?: string,
): void {
  const { id, region } = machine
  tell({
    kind: 'machine',
    machine: id,
    group: groupOf(machine),
    region,
    phase,
    ...(detail === undefined ? {} : { detail }),
  })
}

const crashed = (machine: string, exitCode: number, isOutOfMemory: boolean) =>
  new DeployError('deploy.crashed', {
    what: isOutOfMemory ? 'a machine ran out of memory' : 'a machine ended right after its start',
    values: { machine, exitCode },
    fix: isOutOfMemory
      ? 'give it more memory in [[vm]], or make the app use less'
      : `look at \`godwit logs --machine ${machine}\` for what it said last`,
  })

function unhealthy(
  { id }: Machine,
  detail: string,
  failing: { name: string; output: string } | undefined,
): DeployError {
  return new DeployError('deploy.unhealthy', {
    what: 'the health checks of a machine do not pass',
    values: { machine: id, checks: detail, failing: failing?.name, says: failing?.output },
    fix: 'see that the app listens on 0.0.0.0 or [::] at internal_port, and answers the check; grace_period gives it more time',
  })
}
