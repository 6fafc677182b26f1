import { type Backoff, backoffMs, type Clock, type Log, type Random, startDeadline } from '#base'
import type { ApiClient } from '#corrosion'
import { chooseHostField } from '../allocation.ts'
import { setFlycast } from '../host-network.ts'
import { moveHostField } from '../host-number.ts'
import type { Mesh } from '../mesh/mesh.ts'
import type { Programs } from '../programs/programs.ts'
import type { System } from '../system.ts'
import { saysOwn, writeOwnRow } from './own-row.ts'
import type { PlatformRows } from './platform-rows.ts'

export interface MeshUpkeepOptions {
  readonly hostId: string
  /** This host's field in addresses. */
  readonly host: number
  readonly folder: string
  readonly system: System
  readonly programs: Programs
  readonly mesh: Mesh
  readonly rows: PlatformRows
  readonly client: ApiClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** What nobody announced, such as a row that others believe gone by now, is looked after so often. */
const LOOK_MS = 2_000
/** Rows that come at one moment are taken at once. */
const COALESCE_MS = 50
const WRITE_MS_MAX = 10_000
const BACKOFF: Backoff = { baseMs: 200, capMs: 10_000 }

/** Keeps the mesh as the rows of all hosts say, and this host's row as the mesh is. */
export class MeshUpkeep implements AsyncDisposable {
  /** Resolves when this host had to give its number to another one. */
  readonly moved: Promise<void>
  readonly #options: MeshUpkeepOptions
  readonly #stopping = new AbortController()
  readonly #hasMoved = Promise.withResolvers<void>()
  readonly #loop: Promise<void>
  #applied = ''
  #failures = 0

  constructor(options: MeshUpkeepOptions) {
    this.#options = options
    this.moved = this.#hasMoved.promise
    this.#loop = this.#run()
  }

  /** Uses a new key from now on, beside the old one. @throws Net6Error net6.host_unable */
  async rotateKey(): Promise<void> {
    await this.#options.mesh.rotateKey(this.#stopping.signal)
    await this.#apply()
    await this.#writeOwn().catch((err: unknown) => this.#failed(err))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the daemon of the network ends'))
    await this.#loop
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { clock, random, rows } = this.#options
    const { signal } = this.#stopping
    while (!signal.aborted) {
      try {
        if (await this.#moveIfTaken()) return
        await this.#apply()
        await rows.keep()
        await this.#writeOwn()
        this.#failures = 0
        await rows.changed(LOOK_MS, signal)
        await clock.sleep(COALESCE_MS, signal)
      } catch (err) {
        if (signal.aborted) return
        this.#failed(err)
        await clock.sleep(backoffMs(this.#failures, BACKOFF, random), signal).catch(() => undefined)
      }
    }
  }

  #failed(err: unknown): void {
    const { log } = this.#options
    log[this.#failures === 0 ? 'warn' : 'debug'](
      { err },
      'the network is not in step with the rows',
    )
    this.#failures += 1
  }

  /** Rows show another host with this number, and its id sorts first: what is made from now on has another. */
  async #moveIfTaken(): Promise<boolean> {
    const { rows, hostId, host, folder, log } = this.#options
    if (!rows.isComplete) return false
    const next = chooseHostField(hostId, rows.claims, host)
    if (next === host) return false
    log.error(
      { host, next },
      'another host has this number: machines get new addresses as they start',
    )
    await moveHostField(folder, hostId, next)
    this.#hasMoved.resolve()
    return true
  }

  async #apply(): Promise<void> {
    const { hostId, mesh, rows, system, programs } = this.#options
    const { signal } = this.#stopping
    const own = { id: hostId, ...mesh.ownColumns }
    const hosts = [...rows.hosts().filter(({ id }) => id !== hostId), own]
    const { flycast } = rows
    const wanted = JSON.stringify([hosts, flycast])
    if (wanted === this.#applied) return
    await mesh.setRows(hosts, signal)
    if (rows.isComplete) await setFlycast(system, programs, flycast, signal)
    this.#applied = rows.isComplete ? wanted : ''
  }

  async #writeOwn(): Promise<void> {
    const { rows, mesh, client, hostId, clock } = this.#options
    if (!rows.isComplete || saysOwn(rows.own, mesh.ownColumns)) return
    using deadline = startDeadline('writing this host’s row', WRITE_MS_MAX, {
      signal: this.#stopping.signal,
      clock,
    })
    await writeOwnRow(client, hostId, rows.own, mesh.ownColumns, deadline.signal)
  }
}
