import { errorCode } from '#base'
import { refuse } from '../errors.ts'
import type { MachineMemory } from '../host.ts'
import type { GuestSession } from './guest-session.ts'

const MIB = 2 ** 20
/** Left to a virtual machine by a reclaim: its kernel needs a little to move anything. */
const SPARED_MB = 16

/** What a machine may use now, and what of it nothing needs: its host or its own kernel knows that. */
export async function readMemory(
  session: GuestSession,
  signal: AbortSignal,
): Promise<MachineMemory> {
  const { limitMib, availableMib } = await session.guest.memory({ signal })
  const availableMb = availableMib ?? (await availableInside(session, signal))
  return { limitMb: limitMib, availableMb: Math.min(availableMb, limitMib) }
}

/** @throws FlydError flyd.argument_bad, flyd.state_bad */
export async function limitMemory(
  session: GuestSession,
  limitMb: number,
  signal: AbortSignal,
): Promise<MachineMemory> {
  const { memoryMib } = session.guest.spec
  if (limitMb < 1 || limitMb > memoryMib) {
    const what = `invalid_argument: limit_mb must be between 1 and ${memoryMib}, the memory of the machine`
    throw refuse('flyd.argument_bad', what)
  }
  const now = await readMemory(session, signal)
  const neededMb = now.limitMb - now.availableMb
  if (limitMb < neededMb) throw needsMore(neededMb)
  try {
    await session.guest.limitMemory(limitMb, { signal })
  } catch (error) {
    if (errorCode(error) === 'guest.memory_held') throw needsMore(neededMb, error)
    throw error
  }
  return await readMemory(session, signal)
}

/** @returns MB */
export async function reclaimMemory(
  session: GuestSession,
  amountMb: number,
  signal: AbortSignal,
): Promise<number> {
  const { availableMib } = await session.guest.memory({ signal })
  if (availableMib !== undefined) return await session.guest.reclaimMemory(amountMb, { signal })
  const sparableMb = (await availableInside(session, signal)) - SPARED_MB
  const mb = Math.min(amountMb, sparableMb)
  return mb < 1 ? 0 : await session.guest.reclaimMemory(mb, { signal })
}

async function availableInside(session: GuestSession, signal: AbortSignal): Promise<number> {
  const { memory } = await (await session.agent(signal)).stats({ signal })
  return Math.floor(memory.availableBytes / MIB)
}

const needsMore = (neededMb: number, cause?: unknown) =>
  refuse('flyd.state_bad', `failed_precondition: the machine needs ${neededMb} MB now`, cause)
