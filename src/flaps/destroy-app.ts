import { errorCode, retry } from '#base'
import type { Call } from './call.ts'
import { isNotFound, refuse } from './errors.ts'

/** Machines or volumes that are destroyed at the same time. */
const PARALLEL = 8
/** A machine that is being destroyed has its volume until it ended: its host kills it, so it takes seconds at most. */
const BOUND = { baseMs: 50, capMs: 1_000, deadlineMs: 30_000 }

/**
 * Destroys an app's machines, then its volumes, then the app. What was gone already does not matter,
 * so that an interrupted call can be sent again.
 *
 * @throws FlapsError flaps.state_bad: machines run, and nobody said `force`; or a volume stayed bound to its machine
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
    const { volumes } = services.fleet.host(where.hostId)
    return unlessGone(
      retry((attempt) => volumes.destroy(id, attempt), {
        ...BOUND,
        operation: `destroying volume ${id}`,
        isTransient: (error) => errorCode(error) === 'flyd.state_bad',
        signal,
      }),
    )
  })
  await services.directory.deleteApp(app, call.by)
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += PARALLEL) {
    await Promise.all(items.slice(at, at + PARALLEL).map(work))
  }
}

async function unlessGone(work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
}
