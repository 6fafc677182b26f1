/** The steps that every strategy is made of: one machine gets its new version, is made, or goes. */
import { ApiError, type Machine, type MachineConfig } from '#flaps-client'
import type { DeployContext } from './deploy-context.ts'
import type { MachineCreate, MachineUpdate } from './deploy-plan.ts'
import { HeldLease } from './held-lease.ts'
import { configOf, isAtRest, isStandby } from './machine-facts.ts'
import { say, watchUntilHealthy } from './watch-machine.ts'

export interface ChangeOptions {
  /** Wait until it has started and is healthy. */
  readonly isWatched: boolean
}

export interface UpdateOptions extends ChangeOptions {
  /** Start it also when it ended by itself meanwhile: after a release that crashed. */
  readonly mustRun?: boolean
  readonly onChanged?: (before: Before) => void
}

/** What a machine was before, to go back to. */
export interface Before {
  readonly machine: Machine
  readonly config: MachineConfig
}

/**
 * Brings the new version to a machine under its lease. One that does not run stays at rest.
 *
 * @param onChanged called when the machine has the new version, before it is watched
 * @throws DeployError, ApiError
 */
export async function updateMachine(
  context: DeployContext,
  { machine, config }: MachineUpdate,
  { isWatched, mustRun, onChanged }: UpdateOptions,
): Promise<void> {
  const { machines, signal } = context
  say(context, machine, 'updating')
  await using lease = await HeldLease.take(context, machine.id)
  const rests = isAtRest(machine) || isStandby(machine)
  const updated = await machines.update(
    machine.id,
    { config, skip_launch: rests },
    { nonce: lease.nonce, signal },
  )
  onChanged?.({ machine, config: configOf(machine) })
  if (rests || !isWatched) return say(context, machine, 'updated')
  const watched = await watchUntilHealthy(context, { ...updated, config })
  if (watched === 'healthy') return say(context, machine, 'healthy')
  if (mustRun !== true) return say(context, machine, 'updated', 'it was stopped, and stays so')
  await machines.start(machine.id, { nonce: lease.nonce, signal })
  await watchUntilHealthy(context, { ...updated, config })
  say(context, machine, 'healthy')
}

export interface CreateOptions extends ChangeOptions {
  readonly skipServices?: boolean
  readonly onCreated?: (machine: Machine) => void
}

/** Makes a machine. @throws DeployError, ApiError */
export async function createMachine(
  context: DeployContext,
  wanted: MachineCreate,
  { isWatched, skipServices = false, onCreated }: CreateOptions,
): Promise<Machine> {
  const { machines, signal, random } = context
  const rests = wanted.isStandby || wanted.rests === true
  const machine = await machines.create(
    {
      config: wanted.config,
      region: wanted.region,
      // With a name of its own a create whose answer was lost is not done twice.
      name: `${wanted.group.replaceAll('_', '-')}-${Buffer.from(random.bytes(5)).toString('hex')}`,
      skip_launch: rests,
      skip_service_registration: skipServices,
    },
    { signal },
  )
  onCreated?.(machine)
  say(context, machine, 'creating')
  if (rests || !isWatched) say(context, machine, 'updated')
  else {
    await watchUntilHealthy(context, { ...machine, config: wanted.config })
    say(context, machine, 'healthy')
  }
  return machine
}

/** Ends a machine, running or not; one that is gone is fine. @throws ApiError */
export async function destroyMachine(context: DeployContext, machine: Machine): Promise<void> {
  say(context, machine, 'destroying')
  await context.machines.destroy(machine.id, { force: true })
  say(context, machine, 'destroyed')
}

/** As `destroyMachine`, telling of a failure instead of ending with it. For clean-up. */
export async function tryDestroy(context: DeployContext, machine: Machine): Promise<void> {
  try {
    await destroyMachine(context, machine)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    context.tell({
      kind: 'warning',
      text: `${machine.id} is left over (${error.what}): godwit machine destroy --force ${machine.id}`,
    })
  }
}
