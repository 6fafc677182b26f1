/**
 * What must change for a release to be on every machine: which machines get a new version in place,
 * which are made, and which go. Pure: the same world gives the same plan.
 */
import {
  type AppConfig,
  gigabytes,
  groupMachine,
  type JsonObject,
  type Mount,
  processGroups,
  type ReadLocalFile,
} from '#app-config'
import type { Machine, MachineConfig, Volume } from '#flaps-client'
import { DeployError } from './errors.ts'
import { configOf, groupOf, isManaged } from './machine-facts.ts'
import { type Release, releaseMetadata } from './release.ts'

export interface PlanInput {
  readonly config: AppConfig
  /** With its digest, so that all machines run the same. */
  readonly image: string
  readonly release: Release
  /** Every machine of the app. */
  readonly machines: readonly Machine[]
  readonly volumes: readonly Volume[]
  /** For new machines. */
  readonly region: string
  readonly readLocalFile: ReadLocalFile
  readonly choice: PlanChoice
  /** Over what `[env]` says. */
  readonly envOverrides?: Readonly<Record<string, string>>
}

export interface PlanChoice {
  /** Two machines for a new group with services, a standby for one without. @default true */
  readonly isHighlyAvailable?: boolean
  /** Make no machines. */
  readonly updateOnly?: boolean
  readonly regions?: readonly string[]
  readonly excludedRegions?: readonly string[]
  readonly onlyMachines?: readonly string[]
  readonly excludedMachines?: readonly string[]
  readonly onlyGroups?: readonly string[]
}

export interface DeployPlan {
  readonly updates: readonly MachineUpdate[]
  readonly replacements: readonly MachineReplacement[]
  readonly creates: readonly MachineCreate[]
  /** Machines of groups that are no more. */
  readonly destroys: readonly Machine[]
  /** Volumes to make first; `creates` name them by `newVolume`. */
  readonly volumes: readonly NewVolume[]
  readonly isFirst: boolean
}

export interface MachineUpdate {
  readonly group: string
  readonly machine: Machine
  readonly config: MachineConfig
}

/** A machine that cannot have its new version where it is. */
export interface MachineReplacement extends MachineCreate {
  readonly machine: Machine
}

export interface MachineCreate {
  readonly group: string
  readonly region: string
  readonly config: MachineConfig
  /** Stays stopped until the host of another new machine of the group dies. */
  readonly isStandby: boolean
  /** Made, and not started: as the machine that it stands for. */
  readonly rests?: boolean
  /** Index in the plan's `volumes`. */
  readonly newVolume?: number
}

export interface NewVolume {
  readonly name: string
  readonly region: string
  readonly sizeGb: number
}

const VOLUME_GB = 1

/** @throws DeployError deploy.host_unreachable; AppConfigError */
export function planDeploy(input: PlanInput): DeployPlan {
  const managed = input.machines.filter(isManaged)
  const chosen = managed.filter((machine) => isChosen(machine, input.choice))
  const planner = new Planner(input)
  const groups = processGroups(input.config)
  for (const machine of chosen.toSorted(byId)) {
    if (groups.includes(groupOf(machine))) planner.bring(machine)
  }
  const { updateOnly = false, onlyGroups, onlyMachines } = input.choice
  for (const group of groups) {
    const isThere = managed.some((machine) => groupOf(machine) === group)
    const isAsked = onlyGroups === undefined || onlyGroups.includes(group)
    if (!isThere && isAsked && !updateOnly && onlyMachines === undefined) planner.makeGroup(group)
  }
  return planner.plan(
    chosen.filter((machine) => !groups.includes(groupOf(machine))),
    managed.length === 0,
  )
}

const byId = (a: Machine, b: Machine) => (a.id < b.id ? -1 : 1)

function isChosen(machine: Machine, choice: PlanChoice): boolean {
  const { regions, excludedRegions = [], onlyMachines, excludedMachines = [], onlyGroups } = choice
  if (regions !== undefined && !regions.includes(machine.region)) return false
  if (excludedRegions.includes(machine.region)) return false
  if (onlyMachines !== undefined && !onlyMachines.includes(machine.id)) return false
  if (excludedMachines.includes(machine.id)) return false
  return onlyGroups === undefined || onlyGroups.includes(groupOf(machine))
}

class Planner {
  readonly #input: PlanInput
  readonly #updates: MachineUpdate[] = []
  readonly #replacements: MachineReplacement[] = []
  readonly #creates: MachineCreate[] = []
  readonly #newVolumes: NewVolume[] = []
  /** Nobody's, and not promised to a machine of this plan. */
  readonly #free: Volume[]

  constructor(input: PlanInput) {
    this.#input = input
    this.#free = input.volumes.filter(
      ({ attached_machine_id: holder, host_status: status, state }) =>
        holder === null && status === 'ok' && state === 'created',
    )
  }

  /** The new version for a machine that is there. */
  bring(machine: Machine): void {
    const group = groupOf(machine)
    const before = configOf(machine)
    const { config, mount } = this.#configFor(group, before)
    const held = before.mounts?.[0]
    const isLost = machine.host_status !== 'ok'
    if (isLost && held?.volume !== undefined) throw hostUnreachable(machine, held.volume)
    const isOther =
      isOtherVolume(held?.name, mount, held !== undefined) || isOtherDedication(before, config)
    if (isLost || isOther) {
      this.#replace(machine, group, mount)
      return
    }
    const mounts =
      mount === undefined ? {} : { mounts: [{ ...mountIn(config), volume: held?.volume }] }
    this.#updates.push({ group, machine, config: { ...config, ...mounts } as MachineConfig })
  }

  /** The first machines of a group. */
  makeGroup(group: string): void {
    const { config, mount } = this.#configFor(group, {})
    const { isHighlyAvailable = true } = this.#input.choice
    const { region } = this.#input
    const hasServices = ((config['services'] as unknown[] | undefined) ?? []).length > 0
    const count = mount === undefined && hasServices && isHighlyAvailable ? 2 : 1
    for (let index = 0; index < count; index += 1) {
      this.#creates.push({
        group,
        region,
        isStandby: false,
        ...this.#withVolume(config, mount, region),
      })
    }
    if (mount === undefined && !hasServices && isHighlyAvailable) {
      this.#creates.push({ group, region, isStandby: true, config: config as MachineConfig })
    }
  }

  plan(destroys: readonly Machine[], isFirst: boolean): DeployPlan {
    return {
      updates: this.#updates,
      replacements: this.#replacements,
      creates: this.#creates,
      destroys,
      volumes: this.#newVolumes,
      isFirst,
    }
  }

  #replace(machine: Machine, group: string, mount: Mount | undefined): void {
    const { region } = machine
    const { mounts: _mounts, ...before } = configOf(machine)
    const { config } = this.#configFor(group, before)
    this.#replacements.push({
      machine,
      group,
      region,
      isStandby: false,
      ...this.#withVolume(config, mount, region),
    })
  }

  #withVolume(config: JsonObject, mount: Mount | undefined, region: string) {
    if (mount === undefined) return { config: config as MachineConfig }
    const name = mount.source ?? ''
    const at = this.#free.findIndex((volume) => volume.name === name && volume.region === region)
    if (at >= 0) {
      const [volume] = this.#free.splice(at, 1)
      const mounts = [{ ...mountIn(config), volume: volume?.id }]
      return { config: { ...config, mounts } as MachineConfig }
    }
    this.#newVolumes.push({ name, region, sizeGb: gigabytesOf(mount) })
    return { config: config as MachineConfig, newVolume: this.#newVolumes.length - 1 }
  }

  #configFor(group: string, current: MachineConfig) {
    const { config: app, image, release, readLocalFile, envOverrides = {} } = this.#input
    const { config, mount } = groupMachine(app, group, {
      current: structuredClone(current) as JsonObject,
      readLocalFile,
    })
    const env = { ...(config['env'] as JsonObject | undefined), ...envOverrides }
    const metadata = { ...(config['metadata'] as JsonObject), ...releaseMetadata(release) }
    return { config: withoutOldStandby({ ...config, env, image, metadata }), mount }
  }
}

/** A standby has no services: one whose group gained some is a machine like the others. */
function withoutOldStandby(config: JsonObject): JsonObject {
  if (config['standbys'] === undefined) return config
  if (((config['services'] as unknown[] | undefined) ?? []).length === 0) {
    const watched = (config['standbys'] as string[]).join(',')
    return { ...config, env: { ...(config['env'] as JsonObject), FLY_STANDBY_FOR: watched } }
  }
  const { standbys: _standbys, ...rest } = config
  return rest
}

const mountIn = (config: JsonObject): JsonObject => (config['mounts'] as JsonObject[])[0] ?? {}

const gigabytesOf = ({ initial_size: size }: Mount): number =>
  Math.ceil(gigabytes(size) ?? VOLUME_GB)

/** Only the path of a machine's volume can change in place. */
const isOtherVolume = (held: string | undefined, mount: Mount | undefined, isHeld: boolean) =>
  isHeld !== (mount !== undefined) || (isHeld && held !== undefined && held !== mount?.source)

const isOtherDedication = (before: MachineConfig, after: JsonObject): boolean =>
  before.guest?.['host_dedication_id'] !==
  (after['guest'] as JsonObject | undefined)?.['host_dedication_id']

const hostUnreachable = (machine: Machine, volume: string) =>
  new DeployError('deploy.host_unreachable', {
    what: 'the host of a machine with a volume cannot be reached',
    values: { machine: machine.id, volume, region: machine.region },
    fix: 'wait for the host, or destroy the machine and restore its volume from a snapshot; --exclude-machines leaves it out',
  })
