import { errorCode, newVolumeId } from '#base'
import type { Call } from './call.ts'
import { refuse } from './errors.ts'
import { guestOf } from './guest-size.ts'
import type { VolumeJson } from './machine-json.ts'
import { nobodyTook, type PlaceRequest } from './placement.ts'
import { regionsOf } from './region-choice.ts'
import { namedVolume } from './volume-reads.ts'

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
    const code = errorCode(error)
    if (code?.startsWith('flaps.') && code !== 'flaps.deadline_exceeded') {
      services.placement.release(place)
    }
    throw error
  }
}

async function placeRequest(call: Call, input: VolumeInput): Promise<PlaceRequest> {
  const { services, app } = call
  const { volume: source } = input.source_volume_id
    ? await namedVolume(call, input.source_volume_id)
    : {}
  const sizeGb = input.size_gb || source?.size_gb || SIZE_GB_DEFAULT
  checkInput(input, sizeGb)
  return {
    id: newVolumeId(services.random),
    appId: app.id,
    regions: regionsOf(input.region || source?.region, services),
    volume: undefined,
    guest: input.compute === undefined ? undefined : guestOf({ guest: input.compute }),
    volumeGb: sizeGb,
    dedication: undefined,
    image: undefined,
    ...zone(call, input),
  }
}

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
