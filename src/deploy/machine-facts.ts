/** What a deploy reads off a machine. Pure. */
import { PLATFORM_VERSION } from '#app-config'
import type { Machine, MachineConfig, MachineEvent } from '#flaps-client'

export const RELEASE_COMMAND_GROUP = 'fly_app_release_command'

const OTHER_GROUPS = new Set([
  RELEASE_COMMAND_GROUP,
  'fly_app_console',
  'fly_app_test_machine_command',
])

/** The configuration that a deploy starts from, whatever the host is up to. */
export const configOf = (machine: Machine): MachineConfig =>
  machine.config ?? machine.incomplete_config ?? {}

export const groupOf = (machine: Machine): string =>
  configOf(machine).metadata?.['fly_process_group'] ??
  configOf(machine).metadata?.['process_group'] ??
  'app'

/** Deploys change the machines that deploys made, and no others. */
export const isManaged = (machine: Machine): boolean =>
  configOf(machine).metadata?.['fly_platform_version'] === PLATFORM_VERSION &&
  !OTHER_GROUPS.has(groupOf(machine)) &&
  machine.state !== 'destroyed' &&
  machine.state !== 'destroying'

export const isLeftBehind = (machine: Machine): boolean =>
  groupOf(machine) === RELEASE_COMMAND_GROUP && machine.state !== 'destroyed'

/** Such a machine gets its new version and is left as it is. */
export const isAtRest = ({ state }: Machine): boolean =>
  state === 'stopped' || state === 'suspended' || state === 'created'

export const isStandby = (machine: Machine): boolean =>
  (configOf(machine).standbys ?? []).length > 0

/** Checks that a machine of this configuration must report. */
export function checkCount({ checks = {}, services = [] }: MachineConfig): number {
  const ofServices = services.reduce(
    (sum, { checks: own }) => sum + (Array.isArray(own) ? own.length : 0),
    0,
  )
  return Object.keys(checks).length + ofServices
}

export interface Health {
  readonly passing: number
  readonly total: number
  readonly isHealthy: boolean
  /** Of the first check that does not pass. */
  readonly failing?: { readonly name: string; readonly output: string }
}

/** Healthy: every configured check has a result, and all results pass. */
export function healthOf(machine: Machine): Health {
  const { checks = [] } = machine
  const total = Math.max(checkCount(configOf(machine)), checks.length)
  const passing = checks.filter(({ status }) => status === 'passing').length
  const failing = checks.find(({ status }) => status !== 'passing')
  return {
    passing,
    total,
    isHealthy: passing === total,
    ...(failing === undefined
      ? {}
      : { failing: { name: failing.name, output: failing.output ?? '' } }),
  }
}

/** Why its host could not start it, or not prepare its new version, by the newest event that says so. */
export function launchFailure(events: readonly MachineEvent[] = []): string | undefined {
  for (const { type, status, request } of events) {
    if (status === 'replacing') return undefined // what is older is about another version
    const isFailure = type === 'update' || status === 'launch_failed' || status === 'failed'
    const error = isFailure ? request?.error : undefined
    if (typeof error === 'string') return error
  }
  return undefined
}

/**
 * Its host could not prepare the new version, and the machine went on with the one before. A row may be older than
 * what was just done: only an event that `before` has not seen counts.
 */
export function keptItsVersion(before: Machine, now: Machine): boolean {
  const newest = now.events?.[0]
  if (newest === undefined || newest.timestamp === before.events?.[0]?.timestamp) return false
  const hasFailed = newest.type === 'update' && typeof newest.request?.error === 'string'
  return hasFailed && now.instance_id === before.instance_id && now.state === before.state
}

export interface Crash {
  readonly exitCode: number
  readonly isOutOfMemory: boolean
}

/**
 * The machine's failure since it was started last. Events are newest first.
 * Source: what the stock client takes for a crash in its smoke check.
 */
export function crashSinceStart(events: readonly MachineEvent[] = []): Crash | undefined {
  for (const event of events) {
    if (event.type === 'start' && event.status === 'starting' && event.source === 'user')
      return undefined
    if (event.type === 'launch' || event.type === 'update') return undefined
    const exit = exitOf(event)
    if (event.type !== 'exit' || exit === undefined || exit.requested_stop === true) continue
    if ((exit.exit_code ?? 0) === 0 && exit.oom_killed !== true) continue // a job that is done
    return { exitCode: exit.exit_code ?? 0, isOutOfMemory: exit.oom_killed === true }
  }
  return undefined
}

/**
 * The machine got its new version at rest, because it was stopped while it was being updated: by autostop,
 * or by its own end. Such a machine is not started by the update.
 */
export function wasLeftStopped({ state, events = [] }: Machine): boolean {
  const newest = events.find(({ status }) => status !== '')
  return state === 'stopped' && newest?.type === 'update' && newest.status === 'stopped'
}

/** The exit of a machine that runs once; undefined while it runs. */
export function firstExit(events: readonly MachineEvent[] = []): Crash | undefined {
  const exit = exitOf(events.find(({ type }) => type === 'exit'))
  return exit && { exitCode: exit.exit_code ?? 0, isOutOfMemory: exit.oom_killed === true }
}

const exitOf = (event: MachineEvent | undefined) =>
  event?.request?.MonitorEvent?.exit_event ?? event?.request?.exit_event
