import { isVolumeId } from '#base'
import type { VolumeJson } from '#flyd'
import type { Call } from './call.ts'
import { refuse } from './errors.ts'
import { askOwners, type Source, unlessAway, withFresh } from './fresh-reads.ts'

/** As readMachine: from its host when asked for or just written, else from the rows. */
export async function readVolume(
  call: Call,
  consistent: boolean,
): Promise<{ volume: VolumeJson; source: Source }> {
  const { services, volume: where, signal } = call
  const ask = () => services.fleet.host(where.hostId).volumes.get(where.id, signal)
  if (consistent) return { volume: await ask(), source: 'host' }
  const row = services.rows.volume(where.id)
  if (services.recent.whereIs(where.id) !== undefined) {
    const volume = await unlessAway(ask, call)
    if (volume !== undefined) return { volume, source: 'host' }
  }
  if (row === undefined) throw refuse('flaps.not_found', 'not_found: volume not found')
  return { volume: row, source: 'corrosion' }
}

/**
 * A volume that a request's body names, and its host. One that was made through this instance a moment
 * ago may have no row yet.
 *
 * @throws FlapsError flaps.not_found: none, or another app's
 */
export async function namedVolume(
  { services, app, signal }: Call,
  id: string,
): Promise<{ volume: VolumeJson; hostId: string }> {
  const where = services.rows.whereIsVolume(id) ?? services.recent.whereIs(id)
  if (where?.appId !== app.id) {
    throw refuse('flaps.not_found', `not_found: volume ${id} not found`)
  }
  const row = services.rows.volume(id)
  const { volumes } = services.fleet.host(where.hostId)
  return { volume: row ?? (await volumes.get(id, signal)), hostId: where.hostId }
}

export async function readVolumes(call: Call): Promise<{ volumes: VolumeJson[]; source: Source }> {
  const { services, app, signal } = call
  const rows = services.rows.volumes(app.id)
  const recent = services.recent.ofApp(app.id).filter(({ id }) => isVolumeId(id))
  const ask = (hostId: string, id: string) => services.fleet.host(hostId).volumes.get(id, signal)
  const fresh = await askOwners(recent, ask, call)
  const volumes = withFresh(
    rows.map((row) => ({ id: row.id, known: row })),
    fresh,
  )
  return { volumes, source: fresh.size > 0 ? 'host' : 'corrosion' }
}
