import { type Clock, errorCode } from '#base'
import type { HostMigration } from '../host.ts'
import { keepsRoot } from '../machine/root-persistence.ts'
import type { MachineDescription } from '../model/machine-description.ts'
import type { MachineSeen } from '../model/machine-seen.ts'
import { isGone } from '../model/machine-state.ts'
import { volumeIdsOf } from '../model/mounted-volumes.ts'

/** Room that was reserved for a machine on another host. */
export interface FoundPlace {
  readonly hostId: string
  readonly reservation: string
}

/** The end of a migration that is here. */
export interface LeavingHost {
  machine(id: string): MachineSeen | undefined
  leave(id: string): Promise<void>
  describe(id: string): MachineDescription
  /** Remembers where it goes, and whether it has got there. */
  note(id: string, to: MoveTarget): Promise<void>
  abortOut(id: string): Promise<void>
  releaseOut(id: string): Promise<void>
}

/** The end that is elsewhere. */
export interface ArrivingHost extends HostMigration {
  machine(id: string, signal: AbortSignal): Promise<{ readonly state: string }>
}

export interface MoveTarget {
  readonly hostId: string
  /** From here on it may live there, and is never taken back. */
  readonly hasArrived: boolean
}

export interface MoveOptions {
  readonly here: LeavingHost
  readonly there: (hostId: string) => ArrivingHost
  /** @throws what says why there is none */
  readonly place: (machine: MachineSeen, signal: AbortSignal) => Promise<FoundPlace>
  readonly clock: Clock
}

export type MoveEnd =
  | { readonly moved: true }
  /** It is where it was. */
  | { readonly moved: false; readonly why: string }

const POLL_MS = 250
const AGAIN_MS = 2_000

/** Why a machine can be nowhere but here. Undefined: it can move. */
export function tieOf({ config, lease }: MachineSeen, nowMs: number): string | undefined {
  if (volumeIdsOf(config).length > 0) return `its volume ${volumeIdsOf(config)[0]} is here`
  if (keepsRoot(config)) return 'its root is kept here'
  if (lease !== undefined && lease.expires_at * 1_000 > nowMs) return `${lease.owner} has its lease`
  return undefined
}

/**
 * Takes one machine to another host: room first, then the stop, so that it is away for as short as can be. What
 * has been done is in the log before the next step: whoever is killed goes on with the same call. It never
 * runs in two places, so where the other host does not tell whether it took the machine, it is asked until it does.
 *
 * @throws the signal's reason
 */
export async function moveMachine(
  id: string,
  options: MoveOptions,
  signal: AbortSignal,
): Promise<MoveEnd> {
  const { here, place } = options
  const seen = here.machine(id)
  if (seen === undefined || isGone(seen)) return { moved: true }
  const { migration } = seen
  if (migration?.side === 'in') return stays('it is arriving')
  let to = migration?.to
  let reservation = ''
  if (to === undefined) {
    const tie = tieOf(seen, options.clock.nowMs())
    try {
      if (tie !== undefined) throw new Error(tie)
      const found = await place(seen, signal)
      await here.leave(id)
      await untilHeld(id, options, signal)
      ;({ reservation } = found)
      to = { hostId: found.hostId, hasArrived: false }
      await here.note(id, to)
    } catch (error) {
      signal.throwIfAborted()
      if (errorCode(error) === 'flyd.log_bad') throw error // this process is at its end
      return await goOnHere(id, here, textOf(error))
    }
  }
  return await arriveAt(id, to, reservation, options, signal)
}

async function arriveAt(
  id: string,
  to: MoveTarget,
  reservation: string,
  options: MoveOptions,
  signal: AbortSignal,
): Promise<MoveEnd> {
  const { here, there } = options
  const target = there(to.hostId)
  if (!to.hasArrived) {
    // After a restart nobody knows whether an earlier try came through.
    const refusal = await arrive(target, here.describe(id), reservation, options, signal)
    if (refusal !== undefined) return await goOnHere(id, here, refusal)
    await here.note(id, { ...to, hasArrived: true })
  }
  if (!(await release(target, id, options, signal))) {
    return await goOnHere(id, here, `it could not be started on ${to.hostId}`)
  }
  await here.releaseOut(id)
  return { moved: true }
}

/** What the other host refuses it for; undefined: it is there, or on its way. */
async function arrive(
  target: ArrivingHost,
  moved: MachineDescription,
  reservation: string,
  { clock }: MoveOptions,
  signal: AbortSignal,
): Promise<string | undefined> {
  let isUnknown = reservation === ''
  for (;;) {
    try {
      await target.arrive(moved, { reservation }, signal)
      return undefined
    } catch (error) {
      signal.throwIfAborted()
      const code = errorCode(error) ?? ''
      if (REFUSALS.includes(code)) return textOf(error)
      if (code === 'flyd.host_unreached' && !isUnknown) return textOf(error)
      isUnknown ||= code !== 'flyd.host_unreached'
      await clock.sleep(AGAIN_MS, signal)
    }
  }
}

/** Said by the host itself, of the call that it did not do. */
const REFUSALS = ['flyd.conflict', 'flyd.state_bad', 'flyd.argument_bad', 'flyd.not_found']

/** Until it has started there. False: it did not, and is not there any more. */
async function release(
  target: ArrivingHost,
  id: string,
  { clock }: MoveOptions,
  signal: AbortSignal,
): Promise<boolean> {
  for (;;) {
    try {
      await target.releaseIn(id, signal)
      return true
    } catch (error) {
      signal.throwIfAborted()
      const code = errorCode(error)
      if (code === 'flyd.not_found') {
        const state = await stateAt(target, id, signal)
        if (state === 'migrated' || state === undefined) return false
        if (state !== 'unknown') return true // it came, and somebody has destroyed it since
      }
      await clock.sleep(code === 'flyd.state_bad' ? POLL_MS : AGAIN_MS, signal)
    }
  }
}

/** Undefined: it has never been there, or is forgotten. */
async function stateAt(target: ArrivingHost, id: string, signal: AbortSignal) {
  try {
    return (await target.machine(id, signal)).state
  } catch (error) {
    signal.throwIfAborted()
    return errorCode(error) === 'flyd.not_found' ? undefined : 'unknown'
  }
}

async function untilHeld(id: string, { here, clock }: MoveOptions, signal: AbortSignal) {
  while (here.machine(id)?.migration?.phase === 'moving') await clock.sleep(POLL_MS, signal)
}

async function goOnHere(id: string, here: LeavingHost, why: string): Promise<MoveEnd> {
  if (here.machine(id)?.migration !== undefined) {
    await here.abortOut(id)
  }
  return stays(why)
}

const stays = (why: string): MoveEnd => ({ moved: false, why })

const textOf = (error: unknown) =>
  (error as { what?: string }).what ?? (error instanceof Error ? error.message : String(error))
