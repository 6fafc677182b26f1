import { errorCode } from '#base'
import type { Call } from './call.ts'
import { refuse } from './errors.ts'
import type { VolumeJson } from './machine-json.ts'

type Source = 'host' | 'corrosion'

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
  const recent = services.recent.ofApp(app.id).filter(({ id }) => id.startsWith('vol_'))
  const fresh = new Map<string, VolumeJson>()
  const ask = async ({ id, hostId }: { id: string; hostId: string }) => {
    const one = await unlessAway(() => services.fleet.host(hostId).volumes.get(id, signal), call)
    if (one !== undefined) fresh.set(id, one)
  }
  await Promise.all(recent.map(ask))
  const unknown = [...fresh].flatMap(([id, one]) =>
    rows.some((row) => row.id === id) ? [] : [one],
  )
  const volumes = [...rows.map((row) => fresh.get(row.id) ?? row), ...unknown]
  return { volumes, source: fresh.size > 0 ? 'host' : 'corrosion' }
}

async function unlessAway(
  ask: () => Promise<VolumeJson>,
  { log, signal }: Call,
): Promise<VolumeJson | undefined> {
  try {
    return await ask()
  } catch (error) {
    signal.throwIfAborted()
    if (errorCode(error) === 'flaps.not_found') return undefined
    log.warn({ err: error }, 'a host did not answer; the rows do')
    return undefined
  }
}
