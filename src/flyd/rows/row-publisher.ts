import { type Backoff, backoffMs, type Clock, type Log, type Random, startDeadline } from '#base'
import type { Change, MachineView } from '../model/machine-view.ts'
import { isTheirs, machineRows, volumeRow } from './machine-rows.ts'
import { ROW_COLUMNS, ROW_KEYS, type Row, type RowTable, rowText } from './row.ts'
import {
  checksSubject,
  HOST_SUBJECT,
  machineSubject,
  type RowChange,
  RowLedger,
  type StoredRow,
  volumeSubject,
} from './row-ledger.ts'
import type { RowStore } from './row-store.ts'

export interface RowPublisherOptions {
  readonly hostId: string
  readonly store: RowStore
  readonly view: MachineView
  /** The rows of the host itself, as they are now. */
  readonly hostRows: () => readonly Row[]
  /** The rows of a machine's checks, as they are now. Undefined: nothing new is known, they stay. */
  readonly checkRows: (machineId: string) => readonly Row[] | undefined
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** Changes of one moment travel in one transaction. */
const COALESCE_MS = 20
const STATEMENTS_MAX = 500
const WRITE_MS_MAX = 30_000
const BACKOFF: Backoff = { baseMs: 200, capMs: 10_000 }
/** What nobody announced, such as rows that were lost with a replica's file, is found so often. */
const COMPARE_MS = 10 * 60_000

/** Figures to export. */
export interface RowCounters {
  transactions: number
  statements: number
  failures: number
  reconciliations: number
}

/**
 * Keeps this host's rows in the replica equal to what flyd's log says: all of them at the start and
 * whenever the replica was away, then what changes. Rows of other hosts are never touched. A replica that
 * is away costs nothing but that its readers see older rows.
 */
export class RowPublisher implements AsyncDisposable {
  readonly counters: RowCounters = {
    transactions: 0,
    statements: 0,
    failures: 0,
    reconciliations: 0,
  }
  readonly #options: RowPublisherOptions
  readonly #ledger: RowLedger
  /** In order of their first change since they were last written. */
  readonly #dirty = new Set<string>()
  readonly #stopping = new AbortController()
  readonly #watching: Disposable
  readonly #loop: Promise<void>
  #wake: (() => void) | undefined
  #isReconciled = false
  #writingCount = 0
  #comparedAtMs = -Infinity

  constructor(options: RowPublisherOptions) {
    this.#options = options
    this.#ledger = new RowLedger(options.hostId)
    this.#watching = options.view.onChange((change) => this.#changed(change))
    this.#loop = this.#run()
  }

  /** Rows of which it knows that the replica has them. */
  get rowCount(): number {
    return this.#ledger.rowCount
  }

  /** Subjects that wait to be written. */
  get backlog(): number {
    return this.#dirty.size + this.#writingCount
  }

  /** The replica answered when it was last asked, and has all that it should. */
  get isInStep(): boolean {
    return this.#isReconciled && this.backlog === 0
  }

  hostChanged(): void {
    this.#mark(HOST_SUBJECT)
  }

  checksChanged(machineId: string): void {
    this.#mark(checksSubject(machineId))
  }

  /** Writes what is known up to now, if the replica takes it, and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#watching[Symbol.dispose]()
    this.#stopping.abort(new Error('the publisher is closed'))
    this.#wake?.()
    await this.#loop
  }

  #changed(change: Change): void {
    const isMachine = change.kind === 'machine' || change.kind === 'machine_forgotten'
    this.#mark(isMachine ? machineSubject(change.id) : volumeSubject(change.id))
    if (change.kind === 'machine_forgotten') this.#mark(checksSubject(change.id))
  }

  #mark(subject: string): void {
    this.#dirty.add(subject)
    this.#wake?.()
  }

  async #run(): Promise<void> {
    const { clock, random, log } = this.#options
    const { signal } = this.#stopping
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.#reconcileIfDue()
        await this.#writeAll()
        failures = 0
        await this.#untilWoken()
        await pause(clock, COALESCE_MS, signal)
      } catch (err) {
        if (signal.aborted) return
        this.counters.failures += 1
        this.#isReconciled = false // who knows what it has now
        if (failures === 0) log.warn({ err }, 'the replica takes no rows; it is tried again')
        await pause(clock, backoffMs(failures, BACKOFF, random), signal)
        failures += 1
      }
    }
    await this.#writeAll().catch((err: unknown) => log.warn({ err }, 'rows were left unwritten'))
  }

  async #reconcileIfDue(): Promise<void> {
    const { clock, view } = this.#options
    const isDue = clock.monotonicMs() - this.#comparedAtMs >= COMPARE_MS
    if (this.#isReconciled && !isDue) return
    using deadline = startDeadline('reading this host’s rows', WRITE_MS_MAX, {
      signal: this.#stopping.signal,
      clock,
    })
    const stored: StoredRow[] = []
    for (const table of Object.keys(ROW_KEYS) as RowTable[]) {
      stored.push(...(await this.#storedRows(table, deadline.signal)))
    }
    const subjects = this.#ledger.reconcile(stored)
    this.#dirty.add(HOST_SUBJECT)
    for (const { id } of view.machines()) {
      this.#dirty.add(machineSubject(id)).add(checksSubject(id))
    }
    for (const { id } of view.volumes()) this.#dirty.add(volumeSubject(id))
    for (const subject of subjects) this.#dirty.add(subject)
    this.#isReconciled = true
    this.#comparedAtMs = clock.monotonicMs()
    this.counters.reconciliations += 1
  }

  async #storedRows(table: RowTable, signal: AbortSignal): Promise<StoredRow[]> {
    const keys: readonly string[] = ROW_KEYS[table]
    const columns = [...keys, ...ROW_COLUMNS[table]]
    const rows = await this.#options.store.ownRows(table, columns, signal)
    return rows.map((row) => {
      const key = keys.map((name) => row[name] ?? null)
      return { table, key, text: rowText(table, row) }
    })
  }

  async #writeAll(): Promise<void> {
    while (this.#dirty.size > 0) {
      const changes = this.#nextChanges()
      this.#writingCount = changes.length
      try {
        await this.#write(changes.flatMap(({ statements }) => statements))
      } catch (error) {
        for (const { subject } of changes) this.#dirty.add(subject)
        throw error
      } finally {
        this.#writingCount = 0
      }
      for (const change of changes) this.#ledger.wrote(change)
    }
  }

  #nextChanges(): RowChange[] {
    const changes: RowChange[] = []
    let count = 0
    for (const subject of this.#dirty) {
      this.#dirty.delete(subject)
      const wanted = this.#wanted(subject)
      if (wanted === undefined) continue
      const change = this.#ledger.compare(subject, wanted)
      if (change.statements.length === 0) continue
      changes.push(change)
      count += change.statements.length
      if (count >= STATEMENTS_MAX) break
    }
    return changes
  }

  #wanted(subject: string): readonly Row[] | undefined {
    const { view, hostId, hostRows, checkRows } = this.#options
    if (subject === HOST_SUBJECT) return hostRows()
    const [kind, id = ''] = subject.split(' ')
    if (kind === 'volume') {
      const volume = view.volume(id)
      return volume === undefined ? [] : [volumeRow(volume, hostId)]
    }
    const machine = view.machine(id)
    if (machine === undefined) return []
    if (isTheirs(machine)) return undefined
    return kind === 'checks' ? checkRows(id) : machineRows(machine, hostId)
  }

  async #write(statements: RowChange['statements']): Promise<void> {
    if (statements.length === 0) return
    const { store, clock } = this.#options
    using deadline = startDeadline('writing rows', WRITE_MS_MAX, { clock })
    await store.write(statements, deadline.signal)
    this.counters.transactions += 1
    this.counters.statements += statements.length
  }

  /** Until something changes, or it is time to compare. */
  #untilWoken(): Promise<void> {
    if (this.#dirty.size > 0 || this.#stopping.signal.aborted) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = this.#options.clock.setTimer(resolve, COMPARE_MS)
    this.#wake = resolve
    return promise.finally(() => {
      timer[Symbol.dispose]()
      this.#wake = undefined
    })
  }
}

async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(ms, signal)
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
