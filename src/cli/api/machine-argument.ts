import type { Machine } from '#flaps-client'
import type { AppSession } from './app-command.ts'
import { askWhich } from './choose-machine.ts'
import { ApiInputError } from './input-error.ts'

/** The machine of this id; without one the app's only machine, or the one that is chosen. */
export async function machineOf(session: AppSession, id: string | undefined): Promise<Machine> {
  if (id !== undefined) return await session.machines.get(id)
  const all = await session.machines.list()
  const [only] = all
  if (only === undefined) throw noMachines(session.app)
  return all.length === 1 ? await session.machines.get(only.id) : await askWhich(all)
}

/** The ids that were given; without any that of `machineOf`. */
export async function machineIds(
  session: AppSession,
  ids: readonly string[],
): Promise<readonly string[]> {
  return ids.length > 0 ? ids : [(await machineOf(session, undefined)).id]
}

const noMachines = (app: string) =>
  new ApiInputError('cli.failed', {
    what: `${app} has no machines`,
    fix: 'make some: `godwit deploy`, or `godwit machine run IMAGE`',
  })
