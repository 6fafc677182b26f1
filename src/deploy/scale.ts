import { inParallel } from '#base'
import type { MachineConfig } from '#flaps-client'
import { destroyMachine } from './change-machine.ts'
import { type ContextOptions, contextFor } from './deploy-context.ts'
import type { MachineUpdate } from './deploy-plan.ts'
import { configOf, groupOf, isManaged } from './machine-facts.ts'
import { createNew, makeVolumes } from './make-machines.ts'
import type { Platform } from './platform.ts'
import type { ScalePlan } from './scale-plan.ts'
import { updateRolling } from './strategy/rolling.ts'

export interface ScaleOptions extends ContextOptions {
  readonly platform: Platform
  /** @default 8 */
  readonly maxConcurrent?: number
}

const MAX_CONCURRENT = 8

/**
 * Makes the machines of a plan and waits until they are healthy, then destroys those that go.
 *
 * @throws DeployError, ApiError
 */
export async function scaleCount(plan: ScalePlan, options: ScaleOptions): Promise<void> {
  const { platform, tell, maxConcurrent = MAX_CONCURRENT } = options
  const context = contextOf(options)
  const { creates, destroys } = plan
  tell({ kind: 'planned', updates: 0, creates: creates.length, destroys: destroys.length })
  const mounted = await makeVolumes(platform, plan.volumes, tell)
  await createNew(context, creates.map(mounted), { isWatched: true, maxConcurrent })
  await inParallel(destroys, maxConcurrent, (machine) => destroyMachine(context, machine))
}

/** What a machine is made of: `cpus`, `cpu_kind`, `memory_mb`; what is absent stays. */
export type GuestChange = Readonly<Record<string, string | number>>

/**
 * Gives machines another size, a few at a time, each watched until it is healthy. Gives how many.
 *
 * @param groups process groups; absent: all
 * @throws DeployError, ApiError
 */
export async function scaleGuest(
  guest: GuestChange,
  groups: readonly string[] | undefined,
  options: ScaleOptions,
): Promise<number> {
  const machines = await options.platform.machines.list()
  const updates = machines
    .filter((one) => isManaged(one) && (groups?.includes(groupOf(one)) ?? true))
    .map((machine): MachineUpdate => {
      const config = configOf(machine)
      const changed: MachineConfig = { ...config, guest: { ...config.guest, ...guest } }
      return { group: groupOf(machine), machine, config: changed }
    })
  options.tell({ kind: 'planned', updates: updates.length, creates: 0, destroys: 0 })
  await updateRolling(contextOf(options), updates, {})
  return updates.length
}

const contextOf = (options: ScaleOptions) => contextFor(options.platform.machines, options)
