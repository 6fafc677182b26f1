import { idAfter } from '../engine/id-after.ts'
import type { Transaction } from '../engine/ledger.ts'
import { machineNotFound, refuse } from '../errors.ts'
import type { MachineDescription } from '../model/machine-description.ts'
import type { NewEvent } from '../model/machine-event.ts'
import { isGone } from '../model/machine-state.ts'
import { VERSIONS_MAX } from '../model/machine-version.ts'
import type { Migration } from '../model/migration.ts'
import { spendReservation } from '../room.ts'
import { arrivedRecord } from './arrived-record.ts'
import { machineHold } from './capacity.ts'
import { describeMachine } from './describe-machine.ts'
import { checkLease } from './leases.ts'
import type { By, ControlOptions } from './machine-control.ts'
import type { MachineRecord } from './machine-record.ts'
import { MachineWriter, resourceOf } from './machine-writer.ts'
import { beingMigrated } from './state-checks.ts'
import { CLEAR, LAUNCH } from './step-sequences.ts'
import { stopPlanOf } from './stop-plan.ts'

export interface ArriveOptions {
  /** Of room on this host; spent by it. */
  readonly reservation: string
  /** What the machine's volumes are called here, by their ids there; they are here already. @default as there */
  readonly volumes?: Readonly<Record<string, string>>
}

const MOVABLE = [
  'created',
  'starting',
  'started',
  'restarting',
  'stopping',
  'stopped',
  'suspending',
  'suspended',
  'failed',
]

/**
 * The two ends of a migration, each of them for who moves a machine from one host to another:
 *
 *     old: leave ... held, describe        -> releaseOut, or abortOut
 *     new:              arrive ... held    -> releaseIn, or abortIn
 *
 * Whoever moves it releases the new end first, then the old one: from then on only the new one runs it. Every
 * call may be repeated, and between the first and the last nobody else changes the machine.
 */
export class MigrationControl {
  readonly #options: ControlOptions
  readonly #writer: MachineWriter

  constructor(options: ControlOptions) {
    this.#options = options
    this.#writer = new MachineWriter(options)
  }

  /**
   * Stops the machine with its stop_config and holds it. A suspended one loses its memory.
   *
   * @throws FlydError flyd.not_found; flyd.conflict: leased; flyd.state_bad
   */
  async leave(id: string, by: By = {}): Promise<void> {
    await this.#writer.transact((transaction) => {
      const record = this.#record(id)
      if (record.migration?.side === 'out') return
      if (record.migration !== undefined) throw beingMigrated()
      const { source = 'flyd', nonce } = by
      if (source !== 'flyd') checkLease(record, nonce, this.#options.clock.nowMs())
      const { state, config, previous } = record
      if (!MOVABLE.includes(state) || previous !== undefined) {
        throw refuse(
          'flyd.state_bad',
          `failed_precondition: unable to migrate machine from current state: '${state}'`,
        )
      }
      const isToRun = this.#isToRun(record)
      const migration: Migration = { side: 'out', phase: 'moving', isToRun }
      const event: NewEvent = { type: 'stop', status: 'stopping', source }
      this.#writer.put(transaction, { ...record, state: 'stopping', migration }, event)
      const stop = stopPlanOf(config, { signal: undefined, timeoutMs: undefined })
      const input = { stop, wasRunning: state === 'started' }
      this.#writer.accept(transaction, 'machine.migrate-out', id, ['signal', ...CLEAR], input)
    })
  }

  /** @throws FlydError flyd.not_found; flyd.state_bad: it is not held (yet) */
  describe(id: string): MachineDescription {
    const record = this.#options.machines.records.get(id)
    if (record === undefined || isGone(record)) throw machineNotFound()
    const { migration } = record
    if (migration?.side !== 'out' || migration.phase !== 'held') throw notHeld(record)
    return describeMachine(record, this.#options.machines.versions(id))
  }

  /** What whoever moves it must not forget. @throws FlydError flyd.not_found; flyd.state_bad: not held */
  async note(id: string, to: Migration['to']): Promise<void> {
    await this.#writer.transact((transaction) => {
      const record = this.#record(id)
      const { migration } = record
      if (migration?.side !== 'out') throw notHeld(record)
      this.#options.machines.put(transaction, { ...record, migration: { ...migration, to } })
    })
  }

  /** The machine lives elsewhere now: what is left of it here goes, and it reads `migrated`. */
  async releaseOut(id: string): Promise<void> {
    await this.#writer.transact((transaction) => {
      const record = this.#known(id)
      if (record.state === 'migrated') return
      const { migration } = record
      if (migration?.side !== 'out' || migration.phase === 'moving') throw notHeld(record)
      if (migration.phase === 'held') this.#clear(transaction, record, migration)
    })
  }

  /** It goes on here: it starts if it ran, else it is stopped. */
  async abortOut(id: string): Promise<void> {
    await this.#writer.transact((transaction) => {
      const record = this.#record(id)
      const { migration } = record
      if (migration === undefined) return
      if (migration.side !== 'out' || migration.phase === 'leaving') throw beingMigrated()
      const event: NewEvent = { type: 'migrate', status: 'aborted', source: 'flyd' }
      const stays: MachineRecord = { ...record, migration: undefined }
      if (migration.isToRun) {
        const again: NewEvent = { type: 'start', status: 'starting', source: 'flyd' }
        this.#writer.put(transaction, { ...stays, state: 'starting' }, event, again)
        this.#writer.accept(transaction, 'machine.start', id, [...CLEAR, ...LAUNCH])
      } else {
        this.#writer.put(transaction, { ...stays, state: 'stopped' }, event)
        this.#writer.accept(transaction, 'machine.clean', id, CLEAR)
      }
    })
  }

  /**
   * Makes the machine here, and starts it if it ran there. When that fails what was made goes again, and it
   * reads `migrated`: its only place is the old one. The same description twice is the same machine.
   *
   * @throws FlydError flyd.conflict: no room, or it lives here; flyd.not_found, flyd.state_bad: its volumes
   */
  async arrive(
    moved: MachineDescription,
    { reservation, volumes: renamed = {} }: ArriveOptions,
  ): Promise<MachineRecord> {
    const { machines, volumes, book, clock, engine, newUlid } = this.#options
    const { id } = moved
    const known = machines.staged(id)
    if (known !== undefined && known.replaced[0] === moved.version && known.state !== 'migrated') {
      await this.#options.ledger.flushed()
      return known
    }
    if (known !== undefined && (known.state !== 'migrated' || engine.isBusy(resourceOf(id)))) {
      throw refuse('flyd.conflict', `aborted: machine ${id} lives on this host already`)
    }
    const version = idAfter(moved.version, newUlid())
    const made = arrivedRecord(moved, { version, nowMs: clock.nowMs(), volumes: renamed })
    const { config } = made
    volumes.checkFree(config, id)
    const hold = machineHold(config)
    spendReservation(book, { reservation, holder: id, hold }, clock.monotonicMs())
    try {
      return await this.#writer.transact((transaction) => {
        volumes.attach(transaction, config, id)
        for (const old of moved.versions.slice(0, VERSIONS_MAX - 1)) {
          machines.addVersion(transaction, id, old)
        }
        machines.addVersion(transaction, id, { version, user_config: config })
        const event: NewEvent = { type: 'launch', status: 'created', source: 'flyd' }
        const record = machines.put(transaction, made, event)
        const steps = moved.isToRun ? LAUNCH : ['image']
        this.#writer.accept(transaction, 'machine.migrate-in', id, steps)
        return record
      })
    } catch (error) {
      book.release(id)
      throw error
    }
  }

  /** It is here to stay. @throws FlydError flyd.state_bad: it has not arrived (yet) */
  async releaseIn(id: string): Promise<void> {
    await this.#writer.transact((transaction) => {
      const record = this.#record(id)
      const { migration } = record
      if (migration === undefined) return
      if (migration.side !== 'in' || migration.phase !== 'held') throw notHeld(record)
      this.#options.machines.put(transaction, { ...record, migration: undefined })
    })
  }

  /** It is not to be here: what was made of it goes, and it reads `migrated`. */
  async abortIn(id: string): Promise<void> {
    await this.#writer.transact((transaction) => {
      const record = this.#known(id)
      if (record.state === 'migrated') return
      const { migration } = record
      if (migration?.side !== 'in') throw notHeld(record)
      if (migration.phase !== 'leaving') this.#clear(transaction, record, migration)
    })
  }

  /** As a part of what led to it. */
  clearIn(transaction: Transaction, record: MachineRecord, migration: Migration): void {
    const leaving = { ...record, migration: { ...migration, phase: 'leaving' as const } }
    this.#options.machines.put(transaction, leaving)
    // Of one that was held to leave its address alone is left, and its new host has its id.
    const steps = migration.side === 'out' ? ['offline'] : CLEAR
    this.#writer.accept(transaction, 'machine.leave', record.id, steps)
  }

  #clear(transaction: Transaction, record: MachineRecord, migration: Migration): void {
    const event: NewEvent = { type: 'migrate', status: 'leaving', source: 'flyd' }
    const next = this.#writer.put(
      transaction,
      { ...record, state: 'stopping', dueAtMs: undefined },
      event,
    )
    this.clearIn(transaction, next, migration)
  }

  #isToRun({ id, state }: MachineRecord): boolean {
    if (['started', 'starting', 'restarting'].includes(state)) return true
    const latest = this.#options.engine.latest(resourceOf(id))
    return state === 'created' && latest?.steps.includes('boot') === true
  }

  #known(id: string): MachineRecord {
    const record = this.#options.machines.staged(id)
    if (record === undefined) throw machineNotFound()
    return record
  }

  #record(id: string): MachineRecord {
    const record = this.#known(id)
    if (isGone(record)) throw machineNotFound()
    return record
  }
}

const notHeld = ({ id, state }: MachineRecord) =>
  refuse(
    'flyd.state_bad',
    `failed_precondition: no migration of machine ${id} waits for this, current state: '${state}'`,
  )
