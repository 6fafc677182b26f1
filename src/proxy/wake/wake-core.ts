import { type Backoff, backoffMs, type Random } from '#base'
import type { MachineEntry } from '../routing-table/app-tree.ts'
import type { RoutingTable } from '../routing-table/routing-table.ts'
import type { WakeErrorCode, WakeResult } from './machine-waker.ts'

/** One start may take so long before the request tries another machine. */
export const START_MS_MAX = 60_000
/** How long "it runs" is believed before corrosion says so too. */
const ASSUMED_MS = 30_000
const BACKOFF: Backoff = { baseMs: 4_000, capMs: 60_000 }
/** The jitter of the backoff never makes it shorter than this. */
const NO_START_MS_MIN = 1_000

export interface WakeAction {
  readonly type: 'start'
  readonly machine: MachineEntry
  readonly deadlineMs: number
}

interface Waking {
  readonly machine: MachineEntry
  readonly sinceMs: number
  readonly deadlineAtMs: number
}

/**
 * Which machines are being started for requests, and what became of it. A machine is started once, however
 * many requests want it: the others find it waking. One that could not be started is left alone for a while, so
 * that requests turn to others and nothing hammers the host. All times are monotonic.
 */
export class WakeCore {
  readonly #table: RoutingTable
  readonly #random: Random
  readonly #waking = new Map<string, Waking>()
  readonly #assumed = new Map<
    string,
    { readonly machine: MachineEntry; readonly endsAtMs: number }
  >()
  /** By app: what its last failed start ended with. */
  readonly #lastFailure = new Map<string, WakeErrorCode>()
  /** Starts that were asked for: a figure to export. */
  startCount = 0
  failureCount = 0

  constructor(table: RoutingTable, random: Random) {
    this.#table = table
    this.#random = random
  }

  /** Machines being started. */
  get wakingCount(): number {
    return this.#waking.size
  }

  /** A request wants this machine to run. @returns the start to perform, unless it is under way */
  wanted(machine: MachineEntry, nowMs: number): WakeAction | undefined {
    if (this.#waking.has(machine.id) || nowMs < machine.noStartBeforeMs) return undefined
    const deadlineAtMs = nowMs + START_MS_MAX
    this.#waking.set(machine.id, { machine, sinceMs: nowMs, deadlineAtMs })
    machine.isWaking = true
    this.startCount += 1
    return { type: 'start', machine, deadlineMs: START_MS_MAX }
  }

  /** The start of a machine ended. A late answer to one that was given up counts when it is good. */
  ended(machine: MachineEntry, result: WakeResult, nowMs: number): void {
    const wasWaking = this.#waking.delete(machine.id)
    machine.isWaking = false
    if (result.kind === 'ready') this.#ready(machine, nowMs)
    else if (wasWaking) this.#failed(machine, result.code, nowMs)
  }

  /** Rows changed: who runs by now needs no answer of its host. @returns whether any does */
  heard(nowMs: number): boolean {
    let isChanged = false
    for (const { machine, sinceMs } of this.#waking.values()) {
      const isNews = machine.stateSinceMs >= sinceMs // else the row is of before its stop
      if (!isNews || !machine.isConfirmed) continue
      this.ended(machine, { kind: 'ready' }, nowMs)
      isChanged = true
    }
    return isChanged
  }

  /** Why the app's last start failed; undefined once one succeeded. */
  lastFailure(appId: string): WakeErrorCode | undefined {
    return this.#lastFailure.get(appId)
  }

  /** When `tick` must be called at the latest. */
  get wakeAtMs(): number {
    let atMs = Number.POSITIVE_INFINITY
    for (const { deadlineAtMs } of this.#waking.values()) atMs = Math.min(atMs, deadlineAtMs)
    for (const { endsAtMs } of this.#assumed.values()) atMs = Math.min(atMs, endsAtMs)
    return atMs
  }

  /** @returns whether anything changed that waiting requests hope for */
  tick(nowMs: number): boolean {
    let isChanged = false
    for (const { machine, deadlineAtMs } of [...this.#waking.values()]) {
      if (deadlineAtMs > nowMs) continue
      this.ended(machine, { kind: 'failed', code: 'PM03', reason: 'no answer in time' }, nowMs)
      isChanged = true
    }
    for (const [id, { machine, endsAtMs }] of this.#assumed) {
      if (endsAtMs > nowMs) continue
      this.#assumed.delete(id)
      this.#table.assumeReady(machine, false)
      isChanged = true
    }
    return isChanged
  }

  /** A connection to it failed: what was assumed of it is doubtful. */
  doubt(machine: MachineEntry): void {
    if (this.#assumed.delete(machine.id)) this.#table.assumeReady(machine, false)
  }

  #ready(machine: MachineEntry, nowMs: number): void {
    machine.startFailures = 0
    machine.noStartBeforeMs = Number.NEGATIVE_INFINITY
    machine.startedAtMs = nowMs
    if (machine.app !== undefined) this.#lastFailure.delete(machine.app.id)
    this.#table.assumeReady(machine, true)
    this.#assumed.set(machine.id, { machine, endsAtMs: nowMs + ASSUMED_MS })
  }

  #failed(machine: MachineEntry, code: WakeErrorCode, nowMs: number): void {
    this.failureCount += 1
    const waitMs = backoffMs(machine.startFailures, BACKOFF, this.#random)
    machine.noStartBeforeMs = nowMs + Math.max(NO_START_MS_MIN, waitMs)
    machine.startFailures += 1
    if (machine.app !== undefined) this.#lastFailure.set(machine.app.id, code)
  }
}
