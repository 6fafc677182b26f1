import type { CapacityBook, Guest, Hold } from '#market'
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

/** Makes the book say what the record says. Never refuses: what runs, runs. What it excludes it goes on to. */
export function syncRoom(book: CapacityBook, record: MachineRecord): void {
  if (!holdsCapacity(record)) return void book.release(record.id)
  const { exclusive } = book.heldBy(record.id) ?? {}
  book.restore(record.id, { ...recordHold(book, record), exclusive })
}
