import { newMachineId } from '#base'
import type { MachineConfigJson, MachineJson } from '#flyd'
import { checkConfig, guestOf } from '#flyd'
import type { Call } from './call.ts'
import { isRefusal, refuse } from './errors.ts'
import {
  checkMachineName,
  inventName,
  isLive,
  machineOfName,
  type NameClaim,
  nameExists,
} from './machine-names.ts'
import { nobodyTook, type Place, type PlaceRequest } from './placement.ts'
import { regionsOf } from './region-choice.ts'
import { namedVolume } from './volume-reads.ts'

export interface LaunchInput {
  readonly config: object
  readonly name?: string
  readonly region?: string
  readonly skip_launch?: boolean
  readonly skip_service_registration?: boolean
  readonly skip_secrets?: boolean
  readonly min_secrets_version?: number
  readonly lease_ttl?: number
}

/**
 * Claims the name, finds a place and hands the machine to its host. Whoever dies on the way leaves a
 * claim and a reservation, both of which run out; a machine is there once the host has accepted it.
 */
export async function createMachine(call: Call, input: LaunchInput): Promise<MachineJson> {
  const { services, app } = call
  const id = newMachineId(services.random)
  const name = input.name || inventName(services.random)
  checkMachineName(name)
  checkConfig(input.config as MachineConfigJson)
  const request = await placeRequest(call, id, input)
  const claim: NameClaim = { appId: app.id, name, machineId: id }
  await claimName(call, claim)
  try {
    const place = await findPlace(call, request)
    return await launch(call, { id, name, input, place })
  } catch (error) {
    if (!mayHaveHappened(error)) services.names.release(claim)
    throw error
  }
}

/** @throws FlapsError flaps.name_exists, with the id of the machine that has the name */
async function claimName({ services, signal }: Call, claim: NameClaim): Promise<void> {
  const { appId, name, machineId } = claim
  const present = machineOfName(services.rows, appId, name)
  if (present !== undefined) throw nameExists(name, present)
  const first = await services.names.claim(claim, signal)
  if (first.holderId === machineId) return
  const holder = services.rows.machine(first.holderId)
  if (holder === undefined || isLive(holder.json.state)) throw nameExists(name, first.holderId)
  services.names.release({ ...claim, machineId: first.holderId }) // made and destroyed since
  const second = await services.names.claim(claim, signal)
  if (second.holderId !== machineId) throw nameExists(name, second.holderId)
}

async function placeRequest(call: Call, id: string, input: LaunchInput): Promise<PlaceRequest> {
  const { services, app } = call
  const config = input.config as MachineConfigJson
  const volumeIds = (config.mounts ?? []).flatMap(({ volume }) => volume ?? [])
  const volume =
    volumeIds[0] === undefined ? undefined : await volumeOf(call, volumeIds[0], input.region)
  return {
    id,
    appId: app.id,
    regions: volume === undefined ? regionsOf(input.region, services) : [volume.region],
    volume,
    guest: guestOf(config),
    volumeGb: 0,
    dedication: dedicationOf(config),
    image: config.image || undefined,
    apart: [],
    exclusive: undefined,
  }
}

function dedicationOf({ guest }: MachineConfigJson): string | undefined {
  const { host_dedication_id: id } = (guest ?? {}) as { host_dedication_id?: unknown }
  return typeof id === 'string' && id !== '' ? id : undefined
}

/**
 * The volume decides host and region: another region is refused, not followed.
 *
 * @throws FlapsError flaps.not_found, flaps.argument_bad
 */
async function volumeOf(call: Call, id: string, region: string | undefined) {
  const { services } = call
  const { volume, hostId } = await namedVolume(call, id)
  if (region && !regionsOf(region, services).includes(volume.region)) {
    throw refuse(
      'flaps.argument_bad',
      `invalid_argument: volume ${id} is in region ${volume.region}, not in ${region}`,
    )
  }
  if (volume.attached_machine_id !== null) {
    throw refuse(
      'flaps.state_bad',
      `failed_precondition: volume already claimed by machine ${volume.attached_machine_id}`,
    )
  }
  return { id, hostId, region: volume.region }
}

async function findPlace({ services, signal }: Call, request: PlaceRequest): Promise<Place> {
  const answer = await services.placement.place(request, signal)
  if (answer.placed) return answer.place
  throw nobodyTook(request, answer.refusals)
}

async function launch(
  call: Call,
  { id, name, input, place }: { id: string; name: string; input: LaunchInput; place: Place },
): Promise<MachineJson> {
  const { services, app, signal } = call
  try {
    const machine = await services.fleet.host(place.hostId).create(
      {
        id,
        reservation: place.reservation,
        appId: app.id,
        appName: app.name,
        orgId: app.organization.id,
        orgSlug: app.organization.slug,
        networkId: app.networkId,
        name,
        region: place.region,
        config: input.config as MachineConfigJson,
        skipLaunch: input.skip_launch ?? false,
        isCordoned: input.skip_service_registration ?? false,
        skipSecrets: input.skip_secrets ?? false,
        minSecretsVersion: input.min_secrets_version ?? 0,
        leaseTtlS: input.lease_ttl ?? 0,
        owner: call.owner,
      },
      signal,
    )
    services.recent.note(id, { hostId: place.hostId, appId: app.id })
    return machine
  } catch (error) {
    // Whether it is there is not known: lists ask the host from now on.
    if (mayHaveHappened(error)) services.recent.note(id, { hostId: place.hostId, appId: app.id })
    else services.placement.release(place)
    throw error
  }
}

/** The host may have accepted although no answer came: then nothing is given back, it runs out. */
const mayHaveHappened = (error: unknown): boolean => !isRefusal(error)
