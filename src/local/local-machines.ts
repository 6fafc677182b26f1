import { type MachineId, newMachineId, systemRandom } from '#base'
import type { Accelerator } from '#guest'
import { identify } from '#supervise'
import { LocalError } from './errors.ts'
import { removeMachine, takeOver } from './finish-machine.ts'
import { KeeperCall } from './keeper/keeper-client.ts'
import { startKeeper } from './keeper/start-keeper.ts'
import type { KeeperRequest } from './keeper/wire.ts'
import { LocalHost } from './local-host.ts'
import type { LocalExit, LocalRecord } from './machine-record.ts'
import type { MachineRequest, PreparationView } from './machine-request.ts'
import { NETWORKS_MAX } from './network/nat-networks.ts'
import { defaultName, prepareMachine } from './prepare-machine.ts'
import { reconcile } from './reconcile.ts'

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const MACHINES_MAX = 1_000

export interface RunOptions {
  readonly view?: PreparationView
  readonly signal?: AbortSignal | undefined
  /** What a virtual machine runs with: `kvm` only where a guest has booted with it. @default tcg */
  readonly accelerator?: Accelerator | undefined
}

/**
 * Machines of this computer, without a daemon: a folder says what there is, and each machine that runs has
 * a process of its own that keeps it. Whoever opens this first mends what killed processes left.
 */
export class LocalMachines {
  readonly host: LocalHost

  private constructor(host: LocalHost) {
    this.host = host
  }

  static async open(root: string): Promise<LocalMachines> {
    const host = await LocalHost.open(root)
    await reconcile(host)
    return new LocalMachines(host)
  }

  list(): LocalRecord[] {
    return this.host.records.list()
  }

  /** By id, the beginning of one, or name. @throws LocalError local.not_found */
  find(text: string): LocalRecord {
    const all = this.list()
    const exact = all.filter(({ id, name }) => id === text || name === text)
    const begun = text.length < 3 ? [] : all.filter(({ id }) => id.startsWith(text))
    const found = exact.length > 0 ? exact : begun
    const [record] = found
    if (record !== undefined && found.length === 1) return record
    throw new LocalError('local.not_found', {
      what: found.length === 0 ? 'there is no such machine' : 'more than one machine begins so',
      values: { machine: text },
      fix: 'godwit local list --all',
    })
  }

  /**
   * Makes a machine and the process that keeps it, which boots it. Attach at once to one that is bound: it
   * waits for that.
   *
   * @throws LocalError, ImageError, VolumeError, MachineError, GuestError; nothing is left of it then.
   */
  async run(request: MachineRequest, options: RunOptions = {}): Promise<LocalRecord> {
    const record = await this.#create(request, options)
    const preparation = {
      ...{ source: request.image, pull: request.pull, stopSignal: request.stopSignal },
      ...options,
    }
    try {
      const prepared = await prepareMachine(this.host, record, preparation)
      await this.host.change(() => this.host.records.write(prepared))
      await startKeeper(this.host, prepared)
      if (!request.isBound) await this.#awaitStart(prepared)
      return prepared
    } catch (error) {
      const mine = await this.host.change(() =>
        takeOver(this.host, record.id, { phase: 'removing' }),
      )
      if (mine !== undefined) await removeMachine(this.host, mine)
      throw error
    }
  }

  /** Boots a machine that has ended, with the root that it left. @throws LocalError local.state_bad */
  async start({ id }: LocalRecord, options: RunOptions = {}): Promise<LocalRecord> {
    const record = await this.host.change(() => {
      const present = this.host.records.read(id)
      if (present?.phase !== 'ended')
        throw stateBad('the machine has not ended', id, 'stop it first')
      return takeOver(this.host, id, { phase: 'starting' }) ?? present
    })
    const digest = record.image.digest as never
    const preparation = { source: { kind: 'cached', digest }, pull: 'missing' } as const
    try {
      const {
        exit: _exit,
        accelerator: _last,
        ...prepared
      } = await prepareMachine(this.host, record, {
        ...preparation,
        ...{ stopSignal: record.stopSignal, ...options },
      })
      const { accelerator } = options
      const started = {
        ...{ ...prepared, isBound: false },
        ...(accelerator === undefined ? {} : { accelerator }),
      }
      await this.host.change(() => this.host.records.write(started))
      await startKeeper(this.host, started)
      await this.#awaitStart(started)
      return started
    } catch (error) {
      await this.host.change(() => {
        const present = this.host.records.read(id) ?? record
        if (present.actor?.pid === process.pid) {
          this.host.records.write({ ...present, phase: 'ended' })
        }
      })
      throw error
    }
  }

  /** @throws LocalError local.state_bad: it does not run */
  async call({ id }: LocalRecord, request: KeeperRequest): Promise<KeeperCall> {
    return await KeeperCall.open(this.host, id, request)
  }

  /** Resolves when it has ended. One that has ended stays as it is. */
  async stop(
    record: LocalRecord,
    options: { readonly signal?: number; readonly timeoutMs?: number } = {},
  ): Promise<LocalExit> {
    if (record.exit !== undefined) return record.exit
    using call = await this.call(record, { op: 'stop', ...options })
    return await call.ended()
  }

  /** Removes it with all that it wrote; volumes stay. @throws LocalError local.state_bad: it runs */
  async destroy({ id }: LocalRecord, { force = false } = {}): Promise<void> {
    const record = this.host.records.read(id)
    if (record === undefined) return
    if (record.phase !== 'ended') {
      if (!force) throw stateBad('the machine runs', id, 'stop it, or destroy it with --force')
      await this.#kill(record)
    }
    const mine = await this.host.change(() => takeOver(this.host, id, { phase: 'removing' }))
    if (mine !== undefined) await removeMachine(this.host, mine)
  }

  /** Everything of the local mode: machines that have ended, volumes, images, the pool. */
  async purge({ force = false } = {}): Promise<void> {
    for (const record of this.list()) await this.destroy(record, { force })
    await this.host.purge()
  }

  async #awaitStart(record: LocalRecord): Promise<void> {
    using call = await this.call(record, { op: 'awaitStart' })
    await call.started()
  }

  async #kill(record: LocalRecord): Promise<void> {
    try {
      using call = await this.call(record, { op: 'kill' })
      await call.ended()
    } catch (error) {
      // It is ending already, or its keeper is: what is left is removed next.
      if (!(error instanceof LocalError)) throw error
    }
  }

  async #create(request: MachineRequest, { accelerator }: RunOptions): Promise<LocalRecord> {
    const { runtime, ports, isTemporary, isBound, config, image } = request
    return await this.host.change(() => {
      const all = this.list()
      if (all.length >= MACHINES_MAX) {
        throw new LocalError('local.value_bad', {
          what: 'too many machines',
          values: { countMax: MACHINES_MAX },
          fix: 'destroy some',
        })
      }
      const actor = identify(process.pid)
      const record: LocalRecord = {
        id: newMachineId(systemRandom),
        name: nameFor(request, all),
        image: { reference: image.kind === 'registry' ? image.reference : image.path },
        ...{ runtime, ports, isTemporary, isBound, config, phase: 'preparing' },
        ...(request.network === 'none' ? {} : { networkIndex: freeIndex(all) }),
        ...(actor === undefined ? {} : { actor }),
        ...(accelerator === undefined ? {} : { accelerator }),
        stopSignal: request.stopSignal ?? 'SIGTERM',
        createdAtMs: Date.now(),
      }
      this.host.records.create(record)
      return record
    })
  }
}

/** @throws LocalError local.name_taken, local.value_bad */
function nameFor({ name, image }: MachineRequest, all: readonly LocalRecord[]): string {
  const taken = new Set(all.map((one) => one.name))
  if (name === undefined) {
    const base = defaultName(image).slice(0, 55)
    for (let count = 1; ; count += 1) {
      const candidate = count === 1 ? base : `${base}-${count}`
      if (!taken.has(candidate)) return candidate
    }
  }
  if (!NAME.test(name)) {
    throw new LocalError('local.value_bad', {
      what: 'not a name of a machine',
      values: { name },
      fix: 'use lower-case letters, digits and -, 63 at most',
    })
  }
  if (!taken.has(name)) return name
  throw new LocalError('local.name_taken', {
    what: 'there is a machine of that name',
    values: { name },
    fix: `godwit local destroy ${name}, or choose another name`,
  })
}

function freeIndex(all: readonly LocalRecord[]): number {
  const taken = new Set(all.map((one) => one.networkIndex))
  for (let index = 0; index < NETWORKS_MAX; index += 1) if (!taken.has(index)) return index
  throw new LocalError('local.value_bad', { what: 'no address is free', fix: 'destroy machines' })
}

const stateBad = (what: string, machine: MachineId, fix: string) =>
  new LocalError('local.state_bad', { what, values: { machine }, fix })
