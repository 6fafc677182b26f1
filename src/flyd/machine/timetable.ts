import type { Clock, Log } from '#base'
import type { Ledger } from '../engine/ledger.ts'
import { isGone } from '../model/machine-state.ts'
import type { VolumeTable } from '../volume/volume-table.ts'
import type { MachineControl } from './machine-control.ts'
import type { MachineTable } from './machine-table.ts'
import { nextDueMs, scheduleOf } from './schedule.ts'

export interface TimetableOptions {
  readonly ledger: Ledger
  readonly machines: MachineTable
  readonly volumes: VolumeTable
  readonly control: MachineControl
  /** What else ends by the clock. */
  readonly expire: () => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

/** Destroyed machines and volumes answer so long. */
const REMEMBERED_MS = 24 * 3_600_000
/** Between two looks at the wall clock, which may jump. */
const LOOK_MS = 30_000

/**
 * What happens by the clock: schedules start machines, and what was destroyed is forgotten. A machine that
 * runs when it is due is passed over; what was missed is not made up for.
 */
export class Timetable implements Disposable {
  readonly #options: TimetableOptions
  #timer: Disposable | undefined
  #isOver = false

  constructor(options: TimetableOptions) {
    this.#options = options
  }

  start(): void {
    this.#look()
      .catch((error: unknown) => {
        if (!this.#isOver) this.#options.log.error({ err: error }, 'the timetable was not kept')
      })
      .finally(() => this.#later())
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    this.#timer?.[Symbol.dispose]()
  }

  #later(): void {
    if (this.#isOver) return
    this.#timer = this.#options.clock.setTimer(() => this.start(), LOOK_MS)
  }

  async #look(): Promise<void> {
    const { machines, volumes, ledger } = this.#options
    const nowMs = this.#options.clock.nowMs()
    for (const record of [...machines.records.values()]) {
      if (this.#isOver) return
      if (isGone(record) && nowMs - record.updatedAtMs > REMEMBERED_MS) {
        await ledger.transact((transaction) => machines.forget(transaction, record.id))
      } else if (record.dueAtMs !== undefined && record.dueAtMs <= nowMs) {
        await this.#due(record.id, nowMs)
      }
    }
    for (const { id, state, updatedAtMs } of [...volumes.records.values()]) {
      if (state !== 'destroyed' || nowMs - updatedAtMs <= REMEMBERED_MS) continue
      await ledger.transact((transaction) => volumes.records.remove(transaction, id))
    }
    if (!this.#isOver) await this.#options.expire()
  }

  /** The next time is in the log before the machine starts: a crash between does not run it twice. */
  async #due(id: string, nowMs: number): Promise<void> {
    const { machines, ledger, control, log } = this.#options
    const starts = await ledger.transact((transaction) => {
      const record = machines.staged(id)
      const schedule = record === undefined ? undefined : scheduleOf(record.config)
      if (record === undefined || schedule === undefined) return false
      const dueAtMs = nextDueMs(schedule, record.bornAtMs ?? record.createdAtMs, nowMs)
      machines.put(transaction, { ...record, dueAtMs })
      return record.hasLaunched && record.state === 'stopped'
    })
    if (!starts) return
    try {
      await control.start(id, { source: 'flyd' })
    } catch (error) {
      log.warn({ err: error, machine: id }, 'a scheduled start was refused, and is lost')
    }
  }
}
