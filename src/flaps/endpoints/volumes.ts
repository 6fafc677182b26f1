import { Type } from 'typebox'
import { Action } from '#macaroon'
import { ok } from '../answer.ts'
import { createVolume } from '../create-volume.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { fromSource } from '../machine-reads.ts'
import { readVolume, readVolumes } from '../volume-reads.ts'
import { guestInput, optionalFlag, optionalText, optionalWhole, volumeAnswer } from './schemas.ts'

const tag = 'Volumes'
const path = '/v1/apps/:app/volumes'
const RETENTION_DAYS_MAX = 60
const settings = {
  snapshot_retention: optionalWhole(),
  auto_backup_enabled: optionalFlag(),
}

export const volumeEndpoints = [
  endpoint({
    id: 'Volumes_list',
    method: 'GET',
    path,
    tag,
    summary: "An app's volumes, those that are being destroyed, too.",
    query: Type.Object({ summary: optionalFlag() }),
    answers: { 200: Type.Array(volumeAnswer) },
    access: { on: 'app', action: Action.read },
    limit: 'getMachine',
    async handle(call) {
      const { volumes, source } = await readVolumes(call)
      return fromSource(source, volumes)
    },
  }),

  endpoint({
    id: 'Volumes_create',
    method: 'POST',
    path,
    tag,
    summary:
      'Creates a volume on a host that has room for it, from nothing, a snapshot or another.',
    body: Type.Object({
      name: Type.String(),
      region: optionalText(),
      size_gb: optionalWhole(),
      encrypted: optionalFlag(),
      fstype: optionalText(),
      require_unique_zone: optionalFlag(),
      unique_zone_app_wide: optionalFlag(),
      snapshot_id: optionalText(),
      source_volume_id: optionalText(),
      compute: Type.Optional(guestInput),
      compute_image: optionalText(),
      machines_only: optionalFlag(),
      ...settings,
    }),
    answers: { 200: volumeAnswer },
    access: { on: 'newVolume', action: Action.create },
    limit: 'action',
    example: { body: { name: 'data', region: 'ams', size_gb: 1 } },
    async handle(call) {
      checkRetention(call.body.snapshot_retention)
      return ok(await createVolume(call, call.body))
    },
  }),

  endpoint({
    id: 'Volumes_show',
    method: 'GET',
    path: `${path}/:volume`,
    tag,
    summary: 'One volume.',
    query: Type.Object({ consistent: optionalFlag() }),
    answers: { 200: volumeAnswer },
    access: { on: 'volume', action: Action.read },
    limit: 'getMachine',
    async handle(call) {
      const { volume, source } = await readVolume(call, call.query.consistent ?? false)
      return fromSource(source, volume)
    },
  }),

  endpoint({
    id: 'Volumes_update',
    method: 'PUT',
    path: `${path}/:volume`,
    tag,
    summary: 'Changes how it is backed up.',
    body: Type.Object(settings),
    answers: { 200: volumeAnswer },
    access: { on: 'volume', action: Action.write },
    limit: 'action',
    example: { body: { snapshot_retention: 7 } },
    async handle({ body, volume, services, signal }) {
      checkRetention(body.snapshot_retention)
      const input = {
        snapshotRetention: body.snapshot_retention,
        autoBackupEnabled: body.auto_backup_enabled,
      }
      services.recent.note(volume.id, volume)
      return ok(await services.fleet.host(volume.hostId).volumes.update(volume.id, input, signal))
    },
  }),

  endpoint({
    id: 'Volumes_delete',
    method: 'DELETE',
    path: `${path}/:volume`,
    tag,
    summary: 'Destroys a volume that no machine has.',
    answers: { 200: volumeAnswer },
    access: { on: 'volume', action: Action.delete },
    limit: 'action',
    async handle({ volume, services, signal }) {
      services.recent.note(volume.id, volume)
      return ok(await services.fleet.host(volume.hostId).volumes.destroy(volume.id, signal))
    },
  }),

  endpoint({
    id: 'Volumes_extend',
    method: 'PUT',
    path: `${path}/:volume/extend`,
    tag,
    summary: 'Makes it larger; `size_gb` is the new total.',
    body: Type.Object({ size_gb: Type.Integer({ minimum: 1 }) }),
    answers: { 200: Type.Object({ volume: volumeAnswer, needs_restart: Type.Boolean() }) },
    access: { on: 'volume', action: Action.write },
    limit: 'action',
    example: { body: { size_gb: 2 } },
    async handle({ body, volume, services, signal }) {
      const { volumes } = services.fleet.host(volume.hostId)
      services.recent.note(volume.id, volume)
      return ok(await volumes.extend(volume.id, body.size_gb, signal))
    },
  }),

  endpoint({
    id: 'Volumes_list_snapshots',
    method: 'GET',
    path: `${path}/:volume/snapshots`,
    tag,
    summary: 'Its snapshots.',
    answers: { 200: Type.Array(Type.Object({})) },
    access: { on: 'volume', action: Action.read },
    limit: 'action',
    handle: async ({ volume, services, signal }) =>
      ok(await services.fleet.host(volume.hostId).volumes.snapshots(volume.id, signal)),
  }),

  endpoint({
    id: 'createVolumeSnapshot',
    method: 'POST',
    path: `${path}/:volume/snapshots`,
    tag,
    summary: 'Begins to take a snapshot.',
    answers: { 200: Type.Object({}) },
    access: { on: 'volume', action: Action.create },
    limit: 'action',
    handle: async ({ volume, services, signal }) =>
      ok(await services.fleet.host(volume.hostId).volumes.createSnapshot(volume.id, signal)),
  }),
]

function checkRetention(days: number | undefined): void {
  if (days === undefined || (days >= 1 && days <= RETENTION_DAYS_MAX)) return
  throw refuse(
    'flaps.argument_bad',
    `invalid_argument: invalid snapshot_retention: use 1 to ${RETENTION_DAYS_MAX} days`,
  )
}
