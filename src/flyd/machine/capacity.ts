import { errorCode } from '#base'
import type { CapacityBook, Guest, Hold } from '#market'
import { refusalText } from '#market'
import { refuse } from '../errors.ts'
import { guestOf } from '../guest-size.ts'
import type { MachineConfigJson } from '../machine-json.ts'
import { holdsCapacity, type MachineRecord, oldHoldsCapacity } from './machine-record.ts'

export const machineHold = (config: MachineConfigJson): Hold => ({
  needs: { guest: guestOf(config) },
})

/** During an update of a machine that holds room: the larger of its old and its new size, in each figure. */
export function recordHold(book: CapacityBook, record: MachineRecord): Hold {
  const { config, previous } = record
  if (previous === undefined || !oldHoldsCapacity(previous)) return machineHold(config)
  const next = guestOf(config)
  const old = guestOf(previous.config)
  // How much of a CPU a kind takes, the book knows.
  const cpu = (guest: Guest) => book.utilisationWith({ guest }).cpu
  const { cpuKind, cpus } = cpu(old) > cpu(next) ? old : next
  return { needs: { guest: { cpuKind, cpus, memoryMb: Math.max(next.memoryMb, old.memoryMb) } } }
}

const GB = 2 ** 30
export const volumeHold = (sizeGb: number, exclusive?: string): Hold => ({
  needs: { volumeBytes: sizeGb * GB },
  exclusive,
})

/** @throws FlydError flyd.conflict, as the API documents it: clients then go elsewhere */
export function takeRoom(book: CapacityBook, holder: string, hold: Hold): void {
  const refusal = book.hold(holder, hold)
  if (refusal === undefined) return
  throw refuse(
    'flyd.conflict',
    `aborted: could not reserve resource for machine: ${refusalText(refusal)}`,
  )
}

/** The reservation becomes the holder's. @throws FlydError flyd.conflict: it has ended */
export function spendReservation(
  book: CapacityBook,
  { reservation, holder, hold }: { reservation: string; holder: string; hold: Hold },
  nowMs: number,
): void {
  try {
    book.confirm(reservation, holder, nowMs)
  } catch (cause) {
    if (!errorCode(cause)?.startsWith('market.')) throw cause
    throw refuse(
      'flyd.conflict',
      'aborted: could not reserve resource for machine: the reservation has ended',
      cause,
    )
  }
  const { exclusive } = book.heldBy(holder) ?? {}
  try {
    takeRoom(book, holder, { ...hold, exclusive }) // what is made may differ from what was asked for
  } catch (error) {
    book.release(holder)
    throw error
  }
}

/** Makes the book say what the record says. Never refuses: what runs, runs. What it excludes it goes on to. */
export function syncRoom(book: CapacityBook, record: MachineRecord): void {
  if (!holdsCapacity(record)) return void book.release(record.id)
  const { exclusive } = book.heldBy(record.id) ?? {}
  book.restore(record.id, { ...recordHold(book, record), exclusive })
}
