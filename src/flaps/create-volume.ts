import { newVolumeId } from '#base'
import type { VolumeJson } from '#flyd'
import { guestOf } from '#flyd'
import type { Call } from './call.ts'
import { isRefusal, refuse } from './errors.ts'
import { nobodyTook, type PlaceRequest } from './placement.ts'
import { regionsOf } from './region-choice.ts'
import { namedVolume, readVolumes } from './volume-reads.ts'

export interface VolumeInput {
  readonly name: string
  readonly region?: string
  readonly size_gb?: number
  readonly encrypted?: boolean
  readonly fstype?: string
  readonly require_unique_zone?: boolean
  readonly unique_zone_app_wide?: boolean
  readonly snapshot_retention?: number
  readonly auto_backup_enabled?: boolean
  readonly snapshot_id?: string
  readonly source_volume_id?: string
  readonly compute?: object
}

const SIZE_GB_DEFAULT = 3
const SIZE_GB_MAX = 500
const NAME = /^[a-z0-9_]{1,30}$/

/** As createMachine: what dies on the way leaves a reservation, which runs out. */
export async function createVolume(call: Call, input: VolumeInput): Promise<VolumeJson> {
  const { services, app, signal } = call
  const request = await placeRequest(call, input)
  const answer = await services.placement.place(request, signal)
  if (!answer.placed) throw nobodyTook(request, answer.refusals)
  const { place } = answer
  try {
    const volume = await services.fleet.host(place.hostId).volumes.create(
      {
        id: request.id,
        reservation: place.reservation,
        appId: app.id,
        orgId: app.organization.id,
        name: input.name,
        region: place.region,
        sizeGb: request.volumeGb,
        isEncrypted: input.encrypted ?? true,
        fstype: fstypeOf(input),
        snapshotRetention: input.snapshot_retention,
        autoBackupEnabled: input.auto_backup_enabled,
        snapshotId: input.snapshot_id || undefined,
        sourceVolumeId: input.source_volume_id || undefined,
      },
      signal,
    )
    services.recent.note(request.id, { hostId: place.hostId, appId: app.id })
    return volume
  } catch (error) {
    if (isRefusal(error)) {
      services.placement.release(place)
    }
    throw error
  }
}

async function placeRequest(call: Call, input: VolumeInput): Promise<PlaceRequest> {
  const { services, app } = call
  const from = await sourceOf(call, input)
  const source = from?.volume
  const sizeGb = input.size_gb || from?.sizeGb || SIZE_GB_DEFAULT
  checkInput(input, sizeGb)
  return {
    id: newVolumeId(services.random),
    appId: app.id,
    regions: regionsOf(input.region || source?.region, services),
    // What it is made from is a device of one host.
    volume: from && { id: from.volume.id, hostId: from.hostId },
    guest: input.compute === undefined ? undefined : guestOf({ guest: input.compute }),
    volumeGb: sizeGb,
    dedication: undefined,
    image: undefined,
    ...(from === undefined ? zone(call, input) : { apart: [], exclusive: undefined }),
  }
}

/**
 * The volume that it is a copy of, or a snapshot of which it is.
 *
 * @throws FlapsError flaps.not_found: none of this app
 */
async function sourceOf(call: Call, { source_volume_id: id, snapshot_id: snapshot }: VolumeInput) {
  if (snapshot) return await snapshotHome(call, snapshot)
  if (!id) return undefined
  const { volume, hostId } = await namedVolume(call, id)
  return { volume, hostId, sizeGb: volume.size_gb }
}

/** The app's hosts are asked which has it: snapshots have no rows. */
async function snapshotHome(call: Call, snapshotId: string) {
  const { services, app, signal } = call
  const { volumes } = await readVolumes(call)
  for (const volume of volumes.slice(-VOLUMES_ASKED_MAX)) {
    const { hostId } = await namedVolume(call, volume.id)
    try {
      const found = await services.fleet.host(hostId).volumes.snapshots(volume.id, signal)
      const one = (found as SnapshotShown[]).find(({ id }) => id === snapshotId)
      if (one !== undefined) return { volume, hostId, sizeGb: Math.ceil(one.volume_size / GB) }
    } catch (error) {
      signal.throwIfAborted()
      call.log.warn({ err: error, app: app.name, volume: volume.id }, 'a host told no snapshots')
    }
  }
  throw refuse('flaps.not_found', `not_found: snapshot ${snapshotId.slice(0, 40)} not found`)
}

interface SnapshotShown {
  readonly id: string
  readonly volume_size: number
}

const VOLUMES_ASKED_MAX = 100
const GB = 2 ** 30

function checkInput(input: VolumeInput, sizeGb: number): void {
  if (!NAME.test(input.name)) {
    throw refuse(
      'flaps.argument_bad',
      "invalid_argument: invalid name: use 1 to 30 lower-case letters, digits and '_'",
    )
  }
  if (sizeGb < 1 || sizeGb > SIZE_GB_MAX) {
    throw refuse('flaps.argument_bad', `invalid_argument: invalid size_gb: use 1 to ${SIZE_GB_MAX}`)
  }
  fstypeOf(input)
}

function fstypeOf({ fstype }: VolumeInput): 'ext4' | 'raw' {
  if (!fstype || fstype === 'ext4') return 'ext4'
  if (fstype === 'raw') return 'raw'
  throw refuse(
    'flaps.argument_bad',
    `invalid_argument: invalid fstype '${fstype}': use ext4 or raw`,
  )
}

/** No host that has a volume of the same name, or any of the app. */
function zone({ services, app }: Call, input: VolumeInput) {
  const isUnique = input.require_unique_zone ?? true
  const isAppWide = input.unique_zone_app_wide ?? false
  if (!isUnique && !isAppWide) return { apart: [], exclusive: undefined }
  const apart = services.rows
    .volumes(app.id)
    .filter(({ name, state }) => state !== 'destroyed' && (isAppWide || name === input.name))
    .map(({ id }) => id)
  return {
    apart: apart.slice(-APART_MAX),
    exclusive: isAppWide ? app.id : `${app.id}/${input.name}`,
  }
}

/** As many as a request to hosts may name. */
const APART_MAX = 256
