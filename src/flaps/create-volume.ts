import { errorCode, newVolumeId } from '#base'
import type { Call } from './call.ts'
import { refuse } from './errors.ts'
import { guestOf } from './guest-size.ts'
import type { VolumeJson } from './machine-json.ts'
import { nobodyTook, type PlaceRequest } from './placement.ts'
import { regionsOf } from './region-choice.ts'

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
  const request = placeRequest(call, input)
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

function placeRequest(call: Call, input: VolumeInput): PlaceRequest {
  const { services, app } = call
  const source = input.source_volume_id ? sourceOf(call, input.source_volume_id) : undefined
  const sizeGb = input.size_gb || source?.size_gb || SIZE_GB_DEFAULT
  checkInput(input, sizeGb)
  return {
    id: newVolumeId(services.random),
    kind: 'volume',
    appId: app.id,
    orgId: app.organization.id,
    regions: regionsOf(input.region || source?.region, services),
    hostId: undefined,
    guest: guestOf(input.compute === undefined ? {} : { guest: input.compute }),
    volumeGb: sizeGb,
    avoidHostIds: zonesToAvoid(call, input),
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

function sourceOf({ services, app }: Call, id: string): VolumeJson {
  const where = services.rows.whereIsVolume(id)
  const volume = where?.appId === app.id ? services.rows.volume(id) : undefined
  if (volume === undefined) throw refuse('flaps.not_found', `not_found: volume ${id} not found`)
  return volume
}

/** Hosts that hold volumes of the same name, or any of the app. */
function zonesToAvoid({ services, app }: Call, input: VolumeInput): readonly string[] {
  const unique = input.require_unique_zone ?? true
  if (!unique && !input.unique_zone_app_wide) return []
  return services.rows
    .volumes(app.id)
    .filter(({ name }) => input.unique_zone_app_wide === true || name === input.name)
    .flatMap(({ id }) => services.rows.whereIsVolume(id)?.hostId ?? [])
}
