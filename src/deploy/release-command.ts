import { type AppConfig, defaultGroup, guestOfVm, type JsonObject, vmOf } from '#app-config'
import { shellWords } from '#base'
import { ApiError, type Machine, type MachineConfig } from '#flaps-client'
import { tryDestroy } from './change-machine.ts'
import type { DeployContext } from './deploy-context.ts'
import { DeployError } from './errors.ts'
import {
  configOf,
  firstExit,
  groupOf,
  isLeftBehind,
  RELEASE_COMMAND_GROUP,
} from './machine-facts.ts'
import { type Release, releaseMetadata } from './release.ts'

export interface ReleaseCommand {
  readonly config: AppConfig
  readonly image: string
  readonly release: Release
  readonly machines: readonly Machine[]
  readonly region: string
  readonly timeoutMs: number
}

/**
 * Runs `[deploy] release_command` once, in a machine of its own with the new image and no volume.
 *
 * @throws DeployError deploy.release_command_failed
 */
export async function runReleaseCommand(
  context: DeployContext,
  command: ReleaseCommand,
): Promise<void> {
  const { machines, signal, tell } = context
  for (const old of command.machines.filter(isLeftBehind)) await tryDestroy(context, old)
  const machine = await machines.create(
    { config: commandConfig(command), region: command.region, skip_launch: true },
    { signal },
  )
  tell({ kind: 'release_command', phase: 'started', machine: machine.id })
  try {
    await untilPrepared(context, machine)
    await machines.start(machine.id, { signal })
    const exit = await untilEnded(context, machine, command.timeoutMs)
    if (exit.exitCode !== 0) throw failed(machine, exit.exitCode, exit.isOutOfMemory)
  } finally {
    await tryDestroy(context, machine)
  }
  tell({ kind: 'release_command', phase: 'done', machine: machine.id })
}

/** Its image is there, and it may be started. */
const untilPrepared = ({ machines, waits, signal }: DeployContext, { id }: Machine) =>
  machines.wait(id, { states: ['stopped'], timeoutMs: waits.machineMs }, { signal })

const POLL_MS = 1_000

/** A machine that destroys itself keeps its events for a while; the exit code is read from them. */
async function untilEnded(context: DeployContext, machine: Machine, timeoutMs: number) {
  const { machines, clock, signal } = context
  const endMs = clock.monotonicMs() + timeoutMs
  for (;;) {
    const now = await getOrGone(context, machine)
    const exit = firstExit(now?.events)
    if (exit !== undefined) return exit
    if (now === undefined || now.state === 'destroyed') return { exitCode: 0, isOutOfMemory: false }
    if (clock.monotonicMs() >= endMs) {
      await machines.stop(machine.id)
      throw new DeployError('deploy.release_command_failed', {
        what: 'the release command did not end in time',
        values: { machine: machine.id, timeoutMs },
        fix: 'give it longer with [deploy] release_command_timeout',
      })
    }
    await clock.sleep(POLL_MS, signal)
  }
}

async function getOrGone({ machines, signal }: DeployContext, { id }: Machine) {
  try {
    return await machines.get(id, { signal })
  } catch (error) {
    if (error instanceof ApiError && error.code === 'api.not_found') return undefined
    throw error
  }
}

function commandConfig(command: ReleaseCommand): MachineConfig {
  const { config, image, release, region } = command
  const { deploy = {}, env = {}, experimental = {}, primary_region: primary = region } = config
  return {
    image,
    env: {
      ...env,
      RELEASE_COMMAND: '1',
      FLY_PROCESS_GROUP: RELEASE_COMMAND_GROUP,
      PRIMARY_REGION: primary,
    },
    init: {
      cmd: shellWords(deploy.release_command ?? '') ?? [],
      ...(experimental.entrypoint === undefined ? {} : { entrypoint: experimental.entrypoint }),
    },
    guest: guestFor(command),
    metadata: {
      fly_platform_version: 'v2',
      fly_process_group: RELEASE_COMMAND_GROUP,
      ...releaseMetadata(release),
    },
    restart: { policy: 'no' },
    auto_destroy: true,
    dns: { skip_registration: true },
  }
}

/** Its own size, else that of the largest machine of the default group, else what the file says of it. */
function guestFor({ config, machines }: ReleaseCommand): JsonObject {
  const { release_command_vm: own } = config.deploy ?? {}
  const group = defaultGroup(config)
  const [largest] = machines
    .filter((machine) => groupOf(machine) === group)
    .map((machine) => configOf(machine).guest)
    .filter((guest) => guest !== undefined)
    .toSorted((a, b) => Number(b['memory_mb'] ?? 0) - Number(a['memory_mb'] ?? 0))
  if (own === undefined && largest !== undefined) return { ...largest }
  const guest = guestOfVm(own ?? vmOf(config, group) ?? { size: 'shared-cpu-2x' })
  if (!('what' in guest)) return { ...guest }
  throw new DeployError('deploy.not_possible', {
    what: `release_command_vm.${guest.key} ${guest.what}`,
  })
}

const failed = ({ id }: Machine, exitCode: number, isOutOfMemory: boolean) =>
  new DeployError('deploy.release_command_failed', {
    what: 'release command failed - aborting deployment.',
    values: { machine: id, exitCode, ...(isOutOfMemory ? { ranOutOfMemory: true } : {}) },
    fix: `no machine was changed; \`godwit logs --machine ${id}\` shows what it said`,
  })
