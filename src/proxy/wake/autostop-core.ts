import type { MachineEntry } from '../routing-table/app-tree.ts'
import type { RoutingTable } from '../routing-table/routing-table.ts'
import { chooseVictim, loadOf } from './autostop-rule.ts'
import { AUTOSTOP_TIMES, type AutostopTimes } from './autostop-times.ts'
import type { StopResult } from './machine-waker.ts'

/** Requests that were on their way when the machine was taken out of rotation arrive within this time. */
const GRACE_MS = 1_000
/** Exchanges in flight may end; upgraded connections are told at once. */
const DRAIN_MS_MAX = 30_000
/** So often somebody looks whether they have. */
const LOOK_MS = 200
/** A machine that was stopped stays out of rotation until its row says so, or so long. */
const NEWS_MS_MAX = 30_000

export type AutostopAction =
  /** Take the machine out of this host's rotation, or put it back. */
  | { readonly type: 'setDraining'; readonly machine: MachineEntry; readonly isDraining: boolean }
  /** Send a close frame ("going away") on its WebSockets and end idle connections. */
  | { readonly type: 'closeUpgrades'; readonly machine: MachineEntry }
  | { readonly type: 'stop'; readonly machine: MachineEntry; readonly how: 'stop' | 'suspend' }

interface Ending {
  readonly machine: MachineEntry
  readonly how: 'stop' | 'suspend'
  readonly isLast: boolean
  phase: 'grace' | 'draining' | 'stopping' | 'stopped'
  untilMs: number
}

/**
 * Stops needless machines of this host. A pass comes at the same wall-clock moments on all hosts, so that a
 * region loses one machine a pass and not one a host.
 *
 * A victim goes through: out of rotation, a moment of grace, close frames, the end of what is in flight, the stop.
 * Until the stop itself a request that has no other machine revives it.
 */
export class AutostopCore {
  readonly #table: RoutingTable
  readonly #times: AutostopTimes
  readonly #endings = new Map<string, Ending>()
  #passAtWallMs: number

  /** @param wallMs milliseconds since the epoch */
  constructor(table: RoutingTable, wallMs: number, times = AUTOSTOP_TIMES) {
    this.#table = table
    this.#times = times
    this.#passAtWallMs = this.#nextPass(wallMs)
  }

  /** When `tick` must be called at the latest: by the monotonic clock that shows `nowMs` now. */
  wakeAtMs(wallMs: number, nowMs: number): number {
    let atMs = nowMs + Math.max(0, this.#passAtWallMs - wallMs)
    for (const { phase, untilMs } of this.#endings.values()) {
      if (phase === 'draining') atMs = Math.min(atMs, untilMs, nowMs + LOOK_MS)
      else if (phase !== 'stopping') atMs = Math.min(atMs, untilMs)
    }
    return atMs
  }

  tick(wallMs: number, nowMs: number): readonly AutostopAction[] {
    const actions = this.#advance(nowMs)
    if (wallMs < this.#passAtWallMs) return actions
    this.#passAtWallMs = this.#nextPass(wallMs)
    return [...actions, ...this.pass(nowMs)]
  }

  /** One pass over all apps that have machines here. */
  pass(nowMs: number): readonly AutostopAction[] {
    const own = this.#table.topology.ownHostId
    const actions: AutostopAction[] = []
    for (const app of this.#table.apps()) {
      const regions = new Set<string>()
      for (const { host, region } of app.machines) if (host?.id === own) regions.add(region)
      for (const region of regions) {
        const verdict = chooseVictim(app, region, nowMs, this.#times)
        if (verdict.victim === undefined || verdict.victim.host?.id !== own) continue
        actions.push(...this.#begin(verdict.victim, verdict.how, region, nowMs))
      }
    }
    return actions
  }

  /**
   * A request has no other machine. @returns what to do; undefined: it is no longer (or never was) possible to
   * keep it running, start it
   */
  revive(machine: MachineEntry): readonly AutostopAction[] | undefined {
    const ending = this.#endings.get(machine.id)
    if (ending?.phase !== 'grace' && ending?.phase !== 'draining') return undefined
    return this.#putBack(machine)
  }

  /** Its host was asked to stop it, and has not answered: to ask for a start now might overtake that. */
  isStopping(machine: MachineEntry): boolean {
    return this.#endings.get(machine.id)?.phase === 'stopping'
  }

  /** The stop ended. What it stopped stays out of rotation until the news of it has come. */
  stopped(machine: MachineEntry, result: StopResult, nowMs: number): readonly AutostopAction[] {
    const ending = this.#endings.get(machine.id)
    if (ending === undefined) return []
    if (result.kind === 'failed') return this.#putBack(machine)
    ending.phase = 'stopped'
    ending.untilMs = nowMs + NEWS_MS_MAX
    return []
  }

  /** It was started again. */
  started(machine: MachineEntry): readonly AutostopAction[] {
    return this.#endings.has(machine.id) ? this.#putBack(machine) : []
  }

  #begin(
    machine: MachineEntry,
    how: 'stop' | 'suspend',
    region: string,
    nowMs: number,
  ): AutostopAction[] {
    if (this.#endings.has(machine.id)) return []
    const isLast = ![...(machine.app?.machines ?? [])].some(
      (other) => other !== machine && other.region === region && other.state === 'started',
    )
    const untilMs = nowMs + GRACE_MS
    this.#endings.set(machine.id, { machine, how, isLast, phase: 'grace', untilMs })
    return [{ type: 'setDraining', machine, isDraining: true }]
  }

  #advance(nowMs: number): AutostopAction[] {
    const actions: AutostopAction[] = []
    for (const ending of [...this.#endings.values()]) {
      const { machine, how, isLast } = ending
      const load = loadOf(machine)
      const isOverdue = nowMs >= ending.untilMs
      const isDone = load === 0 || isOverdue
      if (ending.phase === 'grace' && isOverdue) {
        if (isLast && load > 0) actions.push(...this.#putBack(machine))
        else {
          ending.phase = 'draining'
          ending.untilMs = nowMs + DRAIN_MS_MAX
          actions.push({ type: 'closeUpgrades', machine })
        }
      } else if (ending.phase === 'draining' && isDone) {
        ending.phase = 'stopping'
        actions.push({ type: 'stop', machine, how })
      } else if (ending.phase === 'stopped' && (machine.state !== 'started' || isOverdue)) {
        actions.push(...this.#putBack(machine))
      }
    }
    return actions
  }

  #nextPass(wallMs: number): number {
    const { periodMs } = this.#times
    return (Math.floor(wallMs / periodMs) + 1) * periodMs
  }

  #putBack(machine: MachineEntry): AutostopAction[] {
    this.#endings.delete(machine.id)
    return [{ type: 'setDraining', machine, isDraining: false }]
  }
}
