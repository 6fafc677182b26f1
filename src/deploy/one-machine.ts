import type { Machine, MachineConfig, MachinesClient } from '#flaps-client'
import { type ContextOptions, contextFor } from './deploy-context.ts'
import { HeldLease } from './held-lease.ts'
import { isAtRest } from './machine-facts.ts'
import type { Machines } from './platform.ts'
import { say, untilChecksPass, untilStarted } from './watch-machine.ts'

const SETTLED = ['stopped', 'suspended', 'created', 'started', 'failed']

export interface OneMachineOptions extends ContextOptions {
  readonly machines: Machines
}

export interface WatchChoice {
  /** Do not wait for its health checks. */
  readonly skipChecks: boolean
}

/** Waits until a machine has started, and then until its checks pass. @throws DeployError, ApiError */
export async function watchOne(
  machine: Machine,
  { skipChecks }: WatchChoice,
  options: OneMachineOptions,
): Promise<void> {
  const context = contextFor(options.machines, options)
  if ((await untilStarted(context, machine)) === 'resting') return
  if (!skipChecks) await untilChecksPass(context, machine)
  say(context, machine, skipChecks ? 'updated' : 'healthy')
}

export interface OneUpdate extends WatchChoice {
  /** As it was when the change was worked out: another one since then is refused. */
  readonly machine: Machine
  readonly config: MachineConfig
  /** It gets its new configuration and is left stopped. */
  readonly skipLaunch: boolean
  /** Return when the host has taken it. */
  readonly isDetached: boolean
}

/**
 * Brings a configuration to a machine under its lease, and waits until that runs. A machine at rest stays so.
 *
 * @throws DeployError; ApiError api.conflict: it was changed meanwhile
 */
export async function updateOne(update: OneUpdate, options: OneMachineOptions): Promise<Machine> {
  const { machine, config, skipLaunch, isDetached } = update
  const { machines } = options
  const context = contextFor(machines, options)
  say(context, machine, 'updating')
  await using lease = await HeldLease.take(context, machine.id)
  const updated = await machines.update(
    machine.id,
    { config, skip_launch: skipLaunch, current_version: machine.instance_id },
    { nonce: lease.nonce, signal: context.signal },
  )
  const rests = skipLaunch || isAtRest(machine)
  if (isDetached) return updated
  if (!rests) await watchOne({ ...updated, config }, update, options)
  else {
    const { machineMs: timeoutMs } = context.waits
    const settled = { states: SETTLED, version: updated.instance_id, timeoutMs }
    await machines.wait(machine.id, settled, { signal: context.signal })
  }
  return await machines.get(machine.id, { signal: context.signal })
}

/** Restarts a machine under its lease, and waits until it runs again. @throws DeployError, ApiError */
export async function restartOne(
  machine: Machine,
  { skipChecks, isForced }: WatchChoice & { readonly isForced: boolean },
  options: OneMachineOptions & { readonly machines: Pick<MachinesClient, 'restart'> },
): Promise<void> {
  const context = contextFor(options.machines, options)
  say(context, machine, 'stopping')
  await using lease = await HeldLease.take(context, machine.id)
  const call = { nonce: lease.nonce, signal: context.signal }
  await options.machines.restart(machine.id, { force_stop: isForced }, call)
  await watchOne(machine, { skipChecks }, options)
}
