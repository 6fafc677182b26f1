/**
 * How many machines a process group has, and where: which are made and which go. Pure.
 */
import { type AppConfig, groupMachine, type JsonObject, type ReadLocalFile } from '#app-config'
import type { Machine, MachineConfig, Volume } from '#flaps-client'
import type { MachineCreate, NewVolume } from './deploy-plan.ts'
import { DeployError } from './errors.ts'
import { configOf, groupOf, isManaged, isStandby } from './machine-facts.ts'
import { type Release, releaseMetadata } from './release.ts'

/** What was deployed last: machines of a group that has none are made from it. */
export interface Deployed {
  readonly config: AppConfig
  readonly image: string
  readonly release: Release
}

export interface ScaleInput {
  /** Every machine of the app. */
  readonly machines: readonly Machine[]
  readonly volumes: readonly Volume[]
  /** Process groups, and how many machines each is to have in `regions`. */
  readonly counts: ReadonlyMap<string, number>
  /** Machines elsewhere are left alone. @default where the group has machines, else `region` */
  readonly regions?: readonly string[]
  readonly region: string
  /** @default no limit */
  readonly maxPerRegion?: number
  readonly deployed?: Deployed
  readonly readLocalFile: ReadLocalFile
}

export interface ScalePlan {
  readonly creates: readonly MachineCreate[]
  readonly destroys: readonly Machine[]
  /** Volumes to make first; `creates` name them by `newVolume`. */
  readonly volumes: readonly NewVolume[]
}

/** @throws DeployError deploy.not_possible; AppConfigError */
export function planScale(input: ScaleInput): ScalePlan {
  const planner = new ScalePlanner(input)
  for (const [group, count] of input.counts) planner.bring(group, count)
  return planner.plan
}

class ScalePlanner {
  readonly #input: ScaleInput
  readonly #free: Volume[]
  readonly plan = {
    creates: [] as MachineCreate[],
    destroys: [] as Machine[],
    volumes: [] as NewVolume[],
  }

  constructor(input: ScaleInput) {
    this.#input = input
    this.#free = input.volumes.filter(
      ({ attached_machine_id: holder, host_status: status, state }) =>
        holder === null && status === 'ok' && state === 'created',
    )
  }

  bring(group: string, count: number): void {
    const { maxPerRegion = Number.POSITIVE_INFINITY, region: fallback } = this.#input
    const all = this.#input.machines.filter((one) => isManaged(one) && groupOf(one) === group)
    const own = all.filter((one) => !isStandby(one))
    const regions = this.#input.regions ?? unique(own.map(({ region }) => region))
    const places = regions.length === 0 ? [fallback] : regions
    const byPlace = new Map(
      places.map((place) => [
        place,
        own.filter(({ region }) => region === place).sort(leastMissed),
      ]),
    )
    if (count > places.length * maxPerRegion) throw tooMany(group, count, places, maxPerRegion)
    const made = new Map(places.map((place) => [place, 0]))
    const size = (place: string) => (byPlace.get(place)?.length ?? 0) + (made.get(place) ?? 0)
    const total = () => places.reduce((sum, place) => sum + size(place), 0)
    while (total() > count || places.some((place) => size(place) > maxPerRegion)) {
      const gone = byPlace.get(fullest(places, size))?.shift()
      if (gone !== undefined) this.plan.destroys.push(gone)
    }
    while (total() < count) {
      const place = emptiest(places, size)
      made.set(place, (made.get(place) ?? 0) + 1)
      this.#make(group, place, all)
    }
  }

  #make(group: string, region: string, all: readonly Machine[]): void {
    const { standbys: _standbys, ...config } = this.#template(group, all)
    const [mount] = config.mounts ?? []
    const create = { group, region, isStandby: false }
    if (mount === undefined) {
      this.plan.creates.push({ ...create, config })
      return
    }
    const name = mount.name ?? this.#nameOf(mount.volume)
    const at = this.#free.findIndex((volume) => volume.name === name && volume.region === region)
    const [found] = at < 0 ? [] : this.#free.splice(at, 1)
    const mounts = [{ ...mount, volume: found?.id ?? '' }]
    if (found === undefined) {
      this.plan.volumes.push({ name, region, sizeGb: this.#sizeOf(mount.volume) })
    }
    this.plan.creates.push({
      ...create,
      config: { ...config, mounts },
      ...(found === undefined ? { newVolume: this.plan.volumes.length - 1 } : {}),
    })
  }

  /** As the group's machines are; without one, as it was deployed. */
  #template(group: string, all: readonly Machine[]): MachineConfig {
    const like = all.find((one) => !isStandby(one)) ?? all[0]
    if (like !== undefined) return configOf(like)
    const { deployed, readLocalFile } = this.#input
    if (deployed === undefined) {
      throw new DeployError('deploy.not_possible', {
        what: 'there is no machine of this group, and nothing was deployed that tells how to make one',
        values: { group },
        fix: 'deploy the app first',
      })
    }
    const made = groupMachine(deployed.config, group, { current: {}, readLocalFile })
    const metadata = {
      ...(made.config['metadata'] as JsonObject),
      ...releaseMetadata(deployed.release),
    }
    const [mount] = (made.config['mounts'] as JsonObject[] | undefined) ?? []
    const name = made.mount?.source
    const mounts = mount === undefined || name === undefined ? {} : { mounts: [{ ...mount, name }] }
    return { ...made.config, ...mounts, image: deployed.image, metadata } as MachineConfig
  }

  #nameOf(id: string | undefined): string {
    return this.#input.volumes.find((volume) => volume.id === id)?.name ?? 'data'
  }

  #sizeOf(id: string | undefined): number {
    return this.#input.volumes.find((volume) => volume.id === id)?.size_gb ?? 1
  }
}

const unique = (values: readonly string[]) => [...new Set(values)].sort()

type Size = (place: string) => number

const fullest = (places: readonly string[], size: Size) =>
  places.reduce((best, place) => (size(place) > size(best) ? place : best))

const emptiest = (places: readonly string[], size: Size) =>
  places.reduce((best, place) => (size(place) < size(best) ? place : best))

/** What goes first: what does not run, then what was made last. */
function leastMissed(a: Machine, b: Machine): number {
  const runs = (one: Machine) => (one.state === 'started' ? 1 : 0)
  return runs(a) - runs(b) || (a.created_at > b.created_at ? -1 : 1)
}

const tooMany = (group: string, count: number, places: readonly string[], max: number) =>
  new DeployError('deploy.not_possible', {
    what: 'so many machines do not fit into these regions',
    values: { group, count, regions: places.join(' '), maxPerRegion: max },
    fix: 'name more regions, or allow more in each with --max-per-region',
  })
