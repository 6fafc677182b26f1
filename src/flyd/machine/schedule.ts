import type { MachineConfigJson } from '../machine-json.ts'

const PERIOD_MS = { hourly: 3_600_000, daily: 86_400_000, weekly: 7 * 86_400_000 } as const
export type Schedule = keyof typeof PERIOD_MS | 'monthly'

/** Undefined: none, or a word that is none. */
export function scheduleOf({ schedule }: MachineConfigJson): Schedule | undefined {
  if (schedule === 'monthly') return schedule
  return typeof schedule === 'string' && Object.hasOwn(PERIOD_MS, schedule)
    ? (schedule as keyof typeof PERIOD_MS)
    : undefined
}

/**
 * The first time after `nowMs` that is a whole number of periods from `anchorMs`, the machine's creation. A
 * month is one of the calendar (UTC): the same day and time, or the last day of a shorter month. What was
 * missed is not made up for.
 */
export function nextDueMs(schedule: Schedule, anchorMs: number, nowMs: number): number {
  if (schedule !== 'monthly') {
    const period = PERIOD_MS[schedule]
    return anchorMs + Math.max(1, Math.floor((nowMs - anchorMs) / period) + 1) * period
  }
  const [anchor, now] = [new Date(anchorMs), new Date(nowMs)]
  const passed =
    (now.getUTCFullYear() - anchor.getUTCFullYear()) * 12 + now.getUTCMonth() - anchor.getUTCMonth()
  for (let months = Math.max(1, passed); ; months += 1) {
    const due = monthsAfter(anchor, months)
    if (due > nowMs) return due
  }
}

function monthsAfter(anchor: Date, months: number): number {
  const [year, month] = [anchor.getUTCFullYear(), anchor.getUTCMonth() + months]
  const lastDay = new Date(Date.UTC(year, month + 1, 0)).getUTCDate()
  const day = Math.min(anchor.getUTCDate(), lastDay)
  const timeOfDay = anchor.getTime() - Date.UTC(year, anchor.getUTCMonth(), anchor.getUTCDate())
  return Date.UTC(year, month, day) + timeOfDay
}
