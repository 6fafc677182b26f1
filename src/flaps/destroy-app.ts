import type { Call } from './call.ts'
import { isNotFound, refuse } from './errors.ts'

/** Machines or volumes that are destroyed at the same time. */
const PARALLEL = 8

/**
 * Destroys an app's machines, then its volumes, then the app. What was gone already does not matter,
 * so that an interrupted call can be sent again.
 *
 * @throws FlapsError flaps.state_bad: machines run, and nobody said `force`
 */
export async function destroyApp(call: Call, { force }: { force: boolean }): Promise<void> {
  const { services, app, signal } = call
  const machines = services.rows.machines({ appId: app.id })
  const running = machines.find(({ json }) => json.state === 'started')
  if (running !== undefined && !force) {
    throw refuse(
      'flaps.state_bad',
      `failed_precondition: machine ${running.id} is started: stop it, or delete with force=true`,
    )
  }
  await inParallel(machines, ({ id, hostId }) =>
    unlessGone(services.fleet.host(hostId).destroy(id, { force: true, nonce: undefined }, signal)),
  )
  await inParallel(services.rows.volumes(app.id), ({ id }) => {
    const where = services.rows.whereIsVolume(id)
    if (where === undefined) return Promise.resolve()
    return unlessGone(services.fleet.host(where.hostId).volumes.destroy(id, signal))
  })
  await services.directory.deleteApp(app, call.by)
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += PARALLEL) {
    await Promise.all(items.slice(at, at + PARALLEL).map(work))
  }
}

/**
 * A volume stays bound for seconds after its machine was destroyed: its host drops it with the app's
 * other leftovers, so that is no reason to keep the app.
 */
async function unlessGone(work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
}
