import type { Clock, Random } from '#base'
import { idAfter } from '../engine/id-after.ts'
import type { Transaction } from '../engine/ledger.ts'
import { machineNotFound, refuse } from '../errors.ts'
import type { HostCreate, HostUpdate, StopOptions } from '../host.ts'
import type { EventSource, NewEvent } from '../model/machine-event.ts'
import type { MachineState } from '../model/machine-state.ts'
import { isGone } from '../model/machine-state.ts'
import { VERSIONS_MAX } from '../model/machine-version.ts'
import { spendReservation, takeRoom } from '../room.ts'
import type { VolumeTable } from '../volume/volume-table.ts'
import { machineHold, recordHold } from './capacity.ts'
import { checkConfig } from './config-checks.ts'
import { checkLease, newLease } from './leases.ts'
import type { MachineRecord } from './machine-record.ts'
import { MachineWriter, type MachineWriterOptions, resourceOf } from './machine-writer.ts'
import { dueAtMs, newRecord, previousOf } from './new-record.ts'
import { noRestarts } from './restart-policy.ts'
import {
  beingMigrated,
  checkMounts,
  checkRestart,
  checkStart,
  checkSuspendable,
  stateBad,
} from './state-checks.ts'
import { CLEAR, LAUNCH, RESUME } from './step-sequences.ts'
import { stopPlanOf } from './stop-plan.ts'

export interface ControlOptions extends MachineWriterOptions {
  readonly volumes: VolumeTable
  readonly clock: Clock
  readonly random: Random
  readonly newUlid: () => string
}

export interface By {
  readonly nonce?: string | undefined
  /** @default user */
  readonly source?: EventSource
}

/**
 * What may be done to a machine from which state, and what then happens. Each call is one transaction: it
 * refuses and nothing has changed, or the new state, its event and the run that brings it about are in the
 * log together.
 */
export class MachineControl {
  readonly #options: ControlOptions
  readonly #writer: MachineWriter

  constructor(options: ControlOptions) {
    this.#options = options
    this.#writer = new MachineWriter(options)
  }

  /** The same id twice is the same machine. @throws FlydError flyd.conflict, flyd.state_bad */
  async create(input: HostCreate): Promise<MachineRecord> {
    const { machines, volumes, book, clock, newUlid } = this.#options
    const known = machines.staged(input.id)
    if (known !== undefined) {
      await this.#options.ledger.flushed()
      return known
    }
    checkConfig(input.config)
    volumes.checkFree(input.config, input.id)
    const { id: holder, reservation } = input
    const hold = machineHold(input.config)
    spendReservation(book, { reservation, holder, hold }, clock.monotonicMs())
    try {
      return await this.#writer.transact((transaction) => {
        const made = newRecord(input, { nowMs: clock.nowMs(), version: newUlid() })
        const lease =
          input.leaseTtlS > 0 ? newLease(made, leaseInput(input), this.#options) : undefined
        volumes.attach(transaction, input.config, input.id)
        machines.addVersion(transaction, input.id, versionOf(made))
        const pending: NewEvent = { type: 'launch', status: 'pending', source: 'flyd' }
        const created: NewEvent = { type: 'launch', status: 'created', source: 'user' }
        const record = machines.put(transaction, { ...made, lease }, pending, created)
        const steps = input.skipLaunch ? ['image'] : LAUNCH
        this.#writer.accept(transaction, 'machine.create', record.id, steps)
        return record
      })
    } catch (error) {
      book.release(input.id)
      throw error
    }
  }

  async start(id: string, by: By & { isStandingIn?: boolean } = {}): Promise<MachineState> {
    return this.#writer.transact((transaction) => {
      const record = this.#leased(id, by)
      const { state } = record
      if (state === 'started') return state
      checkStart(state)
      takeRoom(this.#options.book, id, machineHold(record.config))
      const { source = 'user', isStandingIn = false } = by
      const restarts = source === 'user' ? noRestarts : record.restarts
      const next: MachineRecord = { ...record, state: 'starting', restarts, isStandingIn }
      this.#writer.put(transaction, next, { type: 'start', status: 'starting', source })
      this.#writer.accept(transaction, 'machine.start', id, startSteps(state))
      return state
    })
  }

  async stop(id: string, options: StopOptions & By): Promise<void> {
    const { source = 'user' } = options
    await this.#writer.transact((transaction) => {
      const record = this.#leased(id, options)
      if (['stopped', 'stopping'].includes(record.state) || isEnding(record.state)) return
      const stop = stopPlanOf(record.config, options)
      const wasRunning = record.state === 'started'
      this.#writer.put(
        transaction,
        { ...record, state: 'stopping' },
        { type: 'stop', status: 'stopping', source },
      )
      this.#writer.accept(transaction, 'machine.stop', id, ['signal', ...CLEAR], {
        stop,
        wasRunning,
      })
    })
  }

  async suspend(id: string, by: By): Promise<void> {
    const { source = 'user' } = by
    await this.#writer.transact((transaction) => {
      const record = this.#leased(id, by)
      if (['suspended', 'suspending'].includes(record.state)) return
      if (record.state !== 'started') throw stateBad('suspend', record.state)
      checkSuspendable(record)
      const event = { type: 'suspend', status: 'suspending', source }
      this.#writer.put(transaction, { ...record, state: 'suspending' }, event)
      this.#writer.accept(transaction, 'machine.suspend', id, ['suspend'])
    })
  }

  /** Of a machine that is stopped or failed: a start. */
  async restart(id: string, options: StopOptions & By & { force: boolean }): Promise<void> {
    const { source = 'user', force } = options
    await this.#writer.transact((transaction) => {
      const record = this.#leased(id, options)
      const isDown = record.state === 'stopped' || record.state === 'failed'
      checkRestart(record.state)
      if (isDown) takeRoom(this.#options.book, id, machineHold(record.config))
      const next: MachineRecord = { ...record, state: 'restarting', restarts: noRestarts }
      const status = isDown ? 'starting' : 'stopping'
      this.#writer.put(transaction, next, { type: 'restart', status, source })
      if (isDown)
        return this.#writer.accept(transaction, 'machine.start', id, startSteps(record.state))
      const stop = stopPlanOf(record.config, options)
      const ends = force ? CLEAR : ['signal', ...CLEAR]
      this.#writer.accept(transaction, 'machine.restart', id, [...ends, 'restarting', ...LAUNCH], {
        stop,
      })
    })
  }

  /** @throws FlydError flyd.conflict: another version, another update, no room; flyd.argument_bad */
  async update(id: string, input: HostUpdate): Promise<MachineRecord> {
    checkConfig(input.config)
    return this.#writer.transact((transaction) => {
      const record = this.#leased(id, input)
      if (isEnding(record.state)) throw machineNotFound()
      const isOther = input.currentVersion !== undefined && input.currentVersion !== record.version
      if (isOther || record.previous !== undefined) {
        throw refuse('flyd.conflict', 'aborted: machine update failed due to concurrent update')
      }
      checkMounts(record, input)
      return this.#replace(transaction, record, input)
    })
  }

  #replace(transaction: Transaction, record: MachineRecord, input: HostUpdate): MachineRecord {
    const { machines, book, newUlid, clock } = this.#options
    const { id } = record
    const isToRun = this.#isToRun(record)
    const launches = !input.skipLaunch && isToRun
    const { skipSecrets, minSecretsVersion } = input
    const changed: MachineRecord = {
      ...record,
      state: 'replacing',
      version: idAfter(record.version, newUlid()),
      config: input.config,
      imageRef: undefined,
      skipSecrets,
      minSecretsVersion,
      previous: previousOf(record, { launches, isToRun }),
      replaced: [record.version, ...record.replaced].slice(0, VERSIONS_MAX),
      restarts: noRestarts,
      hasLaunched: launches,
      dueAtMs: dueAtMs(input.config, record.bornAtMs ?? record.createdAtMs, clock.nowMs()),
    }
    if (launches) takeRoom(book, id, recordHold(book, changed))
    const lease =
      input.leaseTtlS > 0 ? newLease(changed, leaseInput(input), this.#options) : record.lease
    machines.addVersion(transaction, id, versionOf(changed))
    const event: NewEvent = { type: 'update', status: 'replacing', source: 'user' }
    const next = this.#writer.put(transaction, { ...changed, lease }, event)
    const stop = stopPlanOf(record.config, { signal: undefined, timeoutMs: undefined })
    const [, ...boots] = LAUNCH
    const steps = ['image', 'replace', 'signal', ...CLEAR, 'replaced', ...(launches ? boots : [])]
    this.#writer.accept(transaction, 'machine.update', id, steps, { stop })
    return next
  }

  /** Running, or on its way there. */
  #isToRun({ id, state }: MachineRecord): boolean {
    if (['started', 'starting', 'restarting', 'failed'].includes(state)) return true
    const latest = this.#options.engine.latest(resourceOf(id))
    return state === 'created' && latest?.steps.includes('boot') === true
  }

  async destroy(id: string, { force, ...by }: { force: boolean } & By): Promise<void> {
    await this.#writer.transact((transaction) => {
      const record = this.#leased(id, by)
      if (isEnding(record.state)) return
      const mayGo = ['created', 'stopped', 'suspended', 'failed'].includes(record.state)
      if (!mayGo && !force) {
        throw refuse(
          'flyd.state_bad',
          'failed_precondition: unable to destroy machine, not currently stopped, suspended, failed or created',
        )
      }
      this.destroyIn(transaction, record, by.source ?? 'user')
    })
  }

  /** As a part of what led to it. */
  destroyIn(transaction: Transaction, record: MachineRecord, source: EventSource): void {
    const event = { type: 'destroy', status: 'destroying', source }
    const wasRunning = record.state === 'started'
    this.#writer.put(transaction, { ...record, state: 'destroying', dueAtMs: undefined }, event)
    this.#writer.accept(transaction, 'machine.destroy', record.id, CLEAR, { wasRunning })
  }

  /** A machine that could not be launched is destroyed; it reads `launch_failed` until it is. */
  clearAwayIn(transaction: Transaction, { id }: MachineRecord): void {
    this.#writer.accept(transaction, 'machine.destroy', id, CLEAR, { wasRunning: false })
  }

  /** After an update that was taken back: the old version goes on where it was. */
  goOnIn(transaction: Transaction, { id, state }: MachineRecord): void {
    if (state === 'starting') {
      this.#writer.accept(transaction, 'machine.start', id, [...CLEAR, ...LAUNCH])
    } else if (state === 'suspending')
      this.#writer.accept(transaction, 'machine.suspend', id, ['suspend'])
    else if (state === 'failed') this.#writer.accept(transaction, 'machine.clean', id, CLEAR)
  }

  async setCordoned(
    id: string,
    { isCordoned, ...by }: { isCordoned: boolean } & By,
  ): Promise<void> {
    await this.#writer.transact((transaction) => {
      const record = this.#leased(id, by)
      if (record.isCordoned === isCordoned) return
      const type = isCordoned ? 'cordon' : 'uncordon'
      const event = { type, status: '', source: by.source ?? 'user' }
      this.#writer.put(transaction, { ...record, isCordoned }, event)
    })
  }

  /** @throws FlydError flyd.not_found, flyd.conflict */
  #leased(id: string, { nonce, source }: By): MachineRecord {
    const record = this.#options.machines.staged(id)
    if (record === undefined || isGone(record)) throw machineNotFound()
    if (record.migration !== undefined) throw beingMigrated()
    if (source !== 'flyd') checkLease(record, nonce, this.#options.clock.nowMs())
    return record
  }
}

/** What failed may have left something behind that could not be removed then. */
function startSteps(state: MachineState): readonly string[] {
  if (state === 'suspended' || state === 'suspending') return RESUME
  return state === 'failed' ? [...CLEAR, ...LAUNCH] : LAUNCH
}

/** On its way to `destroyed`, and nothing else. */
const isEnding = (state: MachineState) => state === 'destroying' || state === 'launch_failed'

const leaseInput = ({ leaseTtlS, owner }: { leaseTtlS: number; owner: string }) => ({
  ttlS: leaseTtlS,
  owner,
})

const versionOf = ({ version, config }: MachineRecord) => ({ version, user_config: config })
