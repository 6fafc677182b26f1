import { inParallel } from '#base'
/**
 * Blue-green: a whole new set of machines beside the old one, which takes over when all of it is healthy.
 * Up to that moment everything can be undone; from there on green stays.
 */
import type { Machine, MachineConfig } from '#flaps-client'
import { createMachine, tryDestroy } from '../change-machine.ts'
import type { DeployContext } from '../deploy-context.ts'
import type { MachineUpdate } from '../deploy-plan.ts'
import { DeployError } from '../errors.ts'
import { checkCount, isAtRest } from '../machine-facts.ts'
import { say } from '../watch-machine.ts'

export interface BlueGreenOptions {
  readonly maxConcurrent: number
  readonly stopSignal?: string
}

interface Green {
  readonly update: MachineUpdate
  machine?: Machine
}

const CREATES_MAX = 8

/** @throws DeployError deploy.not_possible before anything is made; others after green is gone again */
export async function switchBlueGreen(
  context: DeployContext,
  updates: readonly MachineUpdate[],
  options: BlueGreenOptions,
): Promise<void> {
  checkPossible(updates)
  const tag = String(Math.floor(context.clock.nowMs() / 1000))
  const greens: Green[] = updates.map((update) => ({ update }))
  try {
    await makeGreen(context, greens, tag)
    await uncordonAll(context, greens, options)
  } catch (error) {
    context.tell({ kind: 'stage', text: 'green machines go again; blue ones were not touched' })
    const made = greens.flatMap(({ machine }) => (machine === undefined ? [] : [machine]))
    await inParallel(made, options.maxConcurrent, (machine) => tryDestroy(context, machine))
    throw error
  }
  await retireBlue(context, updates, options)
}

function checkPossible(updates: readonly MachineUpdate[]): void {
  if (updates.length > 0 && updates.every(({ config }) => checkCount(config) === 0)) {
    throw new DeployError('deploy.not_possible', {
      what: 'bluegreen needs a health check that tells when to switch over',
      fix: 'add [[http_service.checks]] to the configuration, or deploy with --strategy rolling',
    })
  }
  const attached = updates.filter(({ machine }) => (machine.config?.mounts ?? []).length > 0)
  if (attached.length > 0) {
    throw new DeployError('deploy.not_possible', {
      what: 'bluegreen cannot move volumes from old machines to new ones',
      values: { machines: attached.map(({ machine }) => machine.id).join(' ') },
      fix: 'deploy with --strategy rolling',
    })
  }
}

/** Unregistered: nothing is sent to green before all of it is healthy. */
async function makeGreen(
  context: DeployContext,
  greens: readonly Green[],
  tag: string,
): Promise<void> {
  context.tell({ kind: 'stage', text: `making ${greens.length} green machines` })
  const limit = Math.min(CREATES_MAX, Math.ceil(greens.length / 3))
  await inParallel(greens, limit, async (green) => {
    context.signal.throwIfAborted()
    const { group, machine: blue } = green.update
    await createMachine(
      context,
      {
        group,
        region: blue.region,
        isStandby: false,
        rests: mayRest(greens, green),
        config: greenConfig(green, tag),
      },
      {
        isWatched: true,
        skipServices: true,
        onCreated(machine) {
          green.machine = machine
        },
      },
    )
  })
}

/**
 * Green of a resting blue rests, too; but one of each group must run, or nothing would tell that the
 * release works.
 */
function mayRest(greens: readonly Green[], { update }: Green): boolean {
  if (!isAtRest(update.machine)) return false
  const group = greens.filter((green) => green.update.group === update.group)
  const someRun = group.some((green) => !isAtRest(green.update.machine))
  return someRun || group[0]?.update !== update
}

function greenConfig({ update }: Green, tag: string): MachineConfig {
  const { config } = update
  return { ...config, metadata: { ...config.metadata, fly_bluegreen_deployment_tag: tag } }
}

async function uncordonAll(
  context: DeployContext,
  greens: readonly Green[],
  { maxConcurrent }: BlueGreenOptions,
): Promise<void> {
  context.signal.throwIfAborted()
  context.tell({ kind: 'stage', text: 'green machines take traffic' })
  await inParallel(greens, maxConcurrent, async ({ machine }) => {
    if (machine !== undefined) await context.machines.setCordoned(machine.id, false)
  })
}

/** From here on nothing is undone: what fails is told, and the rest goes on. */
async function retireBlue(
  context: DeployContext,
  updates: readonly MachineUpdate[],
  { maxConcurrent, stopSignal }: BlueGreenOptions,
): Promise<void> {
  const { machines, clock, waits } = context
  await clock.sleep(waits.switchMs)
  context.tell({ kind: 'stage', text: 'blue machines take no more traffic' })
  await inParallel(updates, maxConcurrent, async ({ machine }) => {
    await orWarn(context, `${machine.id} still takes traffic`, () =>
      machines.setCordoned(machine.id, true),
    )
  })
  await clock.sleep(waits.switchMs)
  await inParallel(updates, maxConcurrent, async ({ machine }) => {
    say(context, machine, 'stopping')
    await orWarn(context, `${machine.id} did not stop in order`, async () => {
      await machines.stop(machine.id, stopSignal === undefined ? {} : { signal: stopSignal })
      await machines.wait(machine.id, { states: ['stopped'], timeoutMs: waits.machineMs })
    })
    await tryDestroy(context, machine)
  })
}

async function orWarn(
  context: DeployContext,
  text: string,
  act: () => Promise<void>,
): Promise<void> {
  try {
    await act()
  } catch (error) {
    context.tell({
      kind: 'warning',
      text: `${text}: ${error instanceof Error ? error.message : error}`,
    })
  }
}
