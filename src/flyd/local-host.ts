import type { Duplex } from 'node:stream'
import { type Clock, type Log, type Random, ulidGenerator } from '#base'
import type { CapacityBook } from '#market'
import type { MachineEffects } from './effects/machine-effects.ts'
import { Engine } from './engine/engine.ts'
import { Ledger, type Transaction } from './engine/ledger.ts'
import type { Run } from './engine/run.ts'
import type { Store } from './engine/store.ts'
import { machineNotFound, refuse } from './errors.ts'
import { machineDefinitions } from './fsm/machine-definitions.ts'
import { snapshotDefinitions } from './fsm/snapshot-definitions.ts'
import { volumeDefinitions } from './fsm/volume-definitions.ts'
import type {
  ConnectOptions,
  ExecOptions,
  ExecResult,
  HostCreate,
  HostUpdate,
  LeaseOptions,
  MachineHost,
  MachineMemory,
  MetricsAnswer,
  MetricsQuestion,
  StopOptions,
  WaitOptions,
  WaitResult,
} from './host.ts'
import { syncRoom } from './machine/capacity.ts'
import { ChangeFeed, viewOf } from './machine/change-feed.ts'
import { GuestWatch } from './machine/guest-watch.ts'
import { LeaseControl } from './machine/lease-control.ts'
import { MachineControl } from './machine/machine-control.ts'
import { machineJson } from './machine/machine-json-of.ts'
import { type MachineRecord, subjectOf } from './machine/machine-record.ts'
import { MachineTable } from './machine/machine-table.ts'
import { MigrationControl } from './machine/migration-control.ts'
import { checkChangeable } from './machine/state-checks.ts'
import { Timetable } from './machine/timetable.ts'
import { Waits } from './machine/waits.ts'
import type { MachineJson } from './machine-json.ts'
import type { LeaseJson } from './model/lease.ts'
import { isGone } from './model/machine-state.ts'
import type { MachineView } from './model/machine-view.ts'
import type { WatchedMachines } from './standby/standby.ts'
import { StandbyDuty } from './standby/standby-duty.ts'
import { LocalVolumes } from './volume/local-volumes.ts'
import { SnapshotTable } from './volume/snapshot-table.ts'
import { volumeHold } from './volume/volume-hold.ts'
import { type VolumeRecord, VolumeTable } from './volume/volume-table.ts'

export interface LocalHostOptions {
  readonly hostId: string
  readonly store: Store
  readonly effects: MachineEffects
  readonly book: CapacityBook
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** The results of a machine's health checks, as the API shows them. @default none */
  readonly checksOf?: (machineId: string) => readonly unknown[]
  /** What is known of an organisation's machines in figures. @default nothing */
  readonly metricsOf?: (question: MetricsQuestion, signal: AbortSignal) => Promise<MetricsAnswer>
  /** Finished runs that are remembered. @default 1,000 */
  readonly retainedRuns?: number
}

type Nonce = { readonly nonce: string | undefined }

/**
 * The machines and volumes of this host. Everything it has accepted is in the store before it answers, and
 * goes on after a crash: make another LocalHost of the same store, and `begin`.
 */
export class LocalHost implements MachineHost {
  readonly volumes: LocalVolumes
  readonly migration: MigrationControl
  readonly view: MachineView
  readonly engine: Engine
  readonly ledger: Ledger
  readonly #options: LocalHostOptions
  readonly #machines: MachineTable
  readonly #volumes: VolumeTable
  readonly #control: MachineControl
  readonly #leases: LeaseControl
  readonly #watch: GuestWatch
  readonly #timetable: Timetable
  readonly #waits: Waits
  readonly #standbys: StandbyDuty
  readonly #changes: ChangeFeed

  /** Reads the log. Nothing acts before `begin`. */
  constructor(options: LocalHostOptions) {
    const { store, effects, clock, random, log, book } = options
    this.#options = options
    this.#waits = new Waits(clock)
    this.#changes = new ChangeFeed(log)
    const newUlid = ulidGenerator(options)
    const nowMs = () => clock.nowMs()
    this.ledger = new Ledger(store)
    this.#machines = new MachineTable({
      store,
      newUlid,
      nowMs,
      onPublish: (id, machine) => {
        this.#waits.tell(id)
        this.#changes.tell(
          machine === undefined
            ? { kind: 'machine_forgotten', id }
            : { kind: 'machine', id, machine },
        )
      },
    })
    this.#volumes = new VolumeTable(store, nowMs, (id, volume) => {
      this.volumes.tell(id)
      this.#changes.tell(
        volume === undefined ? { kind: 'volume_forgotten', id } : { kind: 'volume', id, volume },
      )
    })
    const machines = this.#machines
    const volumes = this.#volumes
    const snapshots = new SnapshotTable(store)
    const { ledger } = this
    const settle = (transaction: Transaction, record: MachineRecord, run: Run) =>
      this.#settleMachine(transaction, record, run)
    this.engine = new Engine({
      ledger,
      clock,
      random,
      log,
      definitions: [
        ...machineDefinitions({
          effects,
          machines,
          clock,
          settle,
          overtaken: (record) => syncRoom(book, record),
        }),
        ...volumeDefinitions({
          effects,
          volumes,
          settle: (_, record) => this.#settleVolume(record),
        }),
        ...snapshotDefinitions({ effects, snapshots }),
      ],
      ...(options.retainedRuns === undefined ? {} : { retained: options.retainedRuns }),
    })
    const { engine } = this
    const around = { ledger, engine, machines, volumes, book, clock, random, log, effects, newUlid }
    this.#control = new MachineControl(around)
    this.#leases = new LeaseControl(around)
    this.migration = new MigrationControl(around)
    this.#watch = new GuestWatch({ ...around, control: this.#control })
    this.volumes = new LocalVolumes({ ...around, snapshots, hostId: options.hostId })
    const expire = () => this.volumes.expireSnapshots()
    this.#timetable = new Timetable({ ...around, control: this.#control, expire })
    this.#standbys = new StandbyDuty({ machines, control: this.#control, log })
    this.view = viewOf(machines, volumes, this.#changes)
    this.#takeRoom()
  }

  /** Goes on where the log ends, and takes over the guests that run. */
  async begin(): Promise<void> {
    this.engine.start()
    await this.#watch.adoptAll()
    this.#timetable.start()
  }

  /** Ends all acts where they are. Guests run on. */
  end(): void {
    this.engine.stop()
    this.#watch[Symbol.dispose]()
    this.#timetable[Symbol.dispose]()
  }

  /** Waits that are held open. */
  get waiting(): number {
    return this.#waits.size
  }

  async create(input: HostCreate, signal: AbortSignal): Promise<MachineJson> {
    signal.throwIfAborted()
    return this.#json(await this.#control.create(input), { withNonce: true })
  }

  async machine(id: string, signal: AbortSignal): Promise<MachineJson> {
    signal.throwIfAborted()
    return this.#json(this.#record(id))
  }

  async update(id: string, input: HostUpdate, signal: AbortSignal): Promise<MachineJson> {
    signal.throwIfAborted()
    return this.#json(await this.#control.update(id, input), { withNonce: true })
  }

  async destroy(
    id: string,
    options: { force: boolean } & Nonce,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    await this.#control.destroy(id, options)
  }

  async start(id: string, { nonce }: Nonce, signal: AbortSignal) {
    signal.throwIfAborted()
    return { previousState: await this.#control.start(id, { nonce }) }
  }

  async stop(id: string, options: StopOptions & Nonce, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await this.#control.stop(id, options)
  }

  async suspend(id: string, { nonce }: Nonce, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await this.#control.suspend(id, { nonce })
  }

  async restart(
    id: string,
    options: StopOptions & { force: boolean } & Nonce,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    await this.#control.restart(id, options)
  }

  async setCordoned(
    id: string,
    options: { isCordoned: boolean } & Nonce,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    await this.#control.setCordoned(id, options)
  }

  wait(id: string, options: WaitOptions, signal: AbortSignal): Promise<WaitResult> {
    return this.#waits.until(id, () => this.#machines.records.get(id), options, signal)
  }

  async lease(id: string, signal: AbortSignal): Promise<LeaseJson | undefined> {
    signal.throwIfAborted()
    return this.#leases.present(id)
  }

  async acquireLease(id: string, options: LeaseOptions, signal: AbortSignal): Promise<LeaseJson> {
    signal.throwIfAborted()
    return this.#leases.acquire(id, options)
  }

  async releaseLease(id: string, nonce: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await this.#leases.release(id, nonce)
  }

  async signal(id: string, name: string, signal: AbortSignal): Promise<void> {
    this.#running(id)
    await this.#options.effects.signal(id, name, signal)
  }

  async exec(id: string, options: ExecOptions, signal: AbortSignal): Promise<ExecResult> {
    this.#running(id)
    return this.#options.effects.exec(id, options, signal)
  }

  async connect(id: string, options: ConnectOptions, signal: AbortSignal): Promise<Duplex> {
    this.#running(id)
    return this.#options.effects.connect(subjectOf(this.#record(id)), options, signal)
  }

  async processes(id: string, signal: AbortSignal): Promise<readonly Record<string, unknown>[]> {
    this.#running(id)
    return this.#options.effects.processes(id, signal)
  }

  async memory(id: string, signal: AbortSignal): Promise<MachineMemory> {
    this.#running(id)
    return this.#options.effects.memory(id, signal)
  }

  async limitMemory(id: string, limitMb: number, signal: AbortSignal): Promise<MachineMemory> {
    this.#running(id)
    return this.#options.effects.limitMemory(id, limitMb, signal)
  }

  async reclaimMemory(id: string, amountMb: number, signal: AbortSignal): Promise<number> {
    this.#running(id)
    return this.#options.effects.reclaimMemory(id, amountMb, signal)
  }

  async metrics(question: MetricsQuestion, signal: AbortSignal): Promise<MetricsAnswer> {
    signal.throwIfAborted()
    return (await this.#options.metricsOf?.(question, signal)) ?? { text: '', leftOut: 0 }
  }

  async events(id: string, limit: number, signal: AbortSignal): Promise<readonly unknown[]> {
    signal.throwIfAborted()
    this.#record(id)
    return this.#machines.events(id, limit)
  }

  async versions(id: string, signal: AbortSignal) {
    signal.throwIfAborted()
    this.#record(id)
    return this.#machines.versions(id)
  }

  async changeMetadata(
    id: string,
    changes: Readonly<Record<string, string | null>>,
    { version }: { version: string | undefined },
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    await this.ledger.transact((transaction) => {
      const record = checkChangeable(this.#machines.staged(id))
      if (version !== undefined && version !== record.version) {
        throw refuse('flyd.state_bad', 'failed_precondition: machine_version is not current')
      }
      const merged = Object.entries({ ...record.config.metadata, ...changes })
      const metadata = Object.fromEntries(
        merged.filter((one): one is [string, string] => one[1] !== null && one[1] !== ''),
      )
      this.#machines.put(transaction, { ...record, config: { ...record.config, metadata } })
    })
  }

  /** What is known of machines elsewhere has changed: standbys start or stop. */
  watchedChanged(watched: WatchedMachines): Promise<void> {
    return this.#standbys.watchedChanged(watched)
  }

  #settleMachine(transaction: Transaction, record: MachineRecord, run: Run): void {
    const { id, state, config } = record
    syncRoom(this.#options.book, record)
    if (isGone(record)) this.#volumes.detach(transaction, config, id)
    const isEnd = run.kind === 'machine.stop' || run.kind === 'machine.clean'
    if (state === 'stopped' && isEnd && config['auto_destroy'] === true) {
      this.#control.destroyIn(transaction, record, 'flyd')
    }
    if (state === 'launch_failed') {
      const { migration } = record
      if (migration === undefined) this.#control.clearAwayIn(transaction, record)
      else this.migration.clearIn(transaction, record, migration)
    }
    if (run.kind === 'machine.update') this.#control.goOnIn(transaction, record)
    if (state === 'started') transaction.after(() => this.#watch.look(id))
  }

  #settleVolume({ id, state, sizeGb, exclusive }: VolumeRecord): void {
    const { book } = this.#options
    if (state === 'created') book.restore(id, volumeHold(sizeGb, exclusive))
    else book.release(id)
  }

  /** What the log says is held, is held, whether there is room or not. */
  #takeRoom(): void {
    for (const record of this.#machines.records.values()) syncRoom(this.#options.book, record)
    for (const record of this.#volumes.records.values()) {
      if (record.state !== 'failed' && record.state !== 'destroyed') {
        this.#options.book.restore(record.id, volumeHold(record.sizeGb, record.exclusive))
      }
    }
  }

  #json(record: MachineRecord, options: { withNonce?: boolean } = {}): MachineJson {
    const checks = this.#options.checksOf?.(record.id) ?? []
    return machineJson(record, { ...options, checks })
  }

  /** @throws FlydError flyd.not_found */
  #record(id: string): MachineRecord {
    const record = this.#machines.records.get(id)
    if (record === undefined) throw machineNotFound()
    return record
  }

  #running(id: string): void {
    if (this.#record(id).state !== 'started') {
      throw refuse('flyd.state_bad', 'failed_precondition: machine not running')
    }
  }
}
