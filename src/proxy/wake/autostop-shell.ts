import type { Clock } from '#base'
import type { MachineEntry } from '../routing-table/app-tree.ts'
import type { RoutingTable } from '../routing-table/routing-table.ts'
import { type AutostopAction, AutostopCore } from './autostop-core.ts'
import type { AutostopTimes } from './autostop-times.ts'
import type { MachineWaker } from './machine-waker.ts'

export interface AutostopOptions {
  readonly table: RoutingTable
  readonly waker: MachineWaker
  /** @default AUTOSTOP_TIMES */
  readonly times?: AutostopTimes | undefined
  readonly clock: Clock
  /** Ends a machine's upgraded connections with a close frame. */
  readonly closeUpgrades: (machine: MachineEntry) => void
  /** A machine was put out of rotation or back: whoever waits may look again. */
  readonly changed: () => void
}

const ERROR_MARGIN_MS = 1

/** Runs the autostop of this host's machines, and is what starts of them go through. */
export class Autostop implements MachineWaker {
  readonly #options: AutostopOptions
  readonly #core: AutostopCore
  /** Starts that wait until their machine's host has answered to its stop. */
  readonly #waiting = new Map<MachineEntry, (() => void)[]>()
  #timer: Disposable | undefined

  constructor(options: AutostopOptions) {
    this.#options = options
    this.#core = new AutostopCore(options.table, options.clock.nowMs(), options.times)
    this.#arm()
  }

  /**
   * A machine that is about to be stopped here is kept; any other is started by its host, once that knows of the stop: a
   * start that came first would find it running, and whoever asked would meet it as it goes.
   */
  start(...[machine, deadlineMs, done]: Parameters<MachineWaker['start']>): void {
    const kept = this.#core.revive(machine)
    if (kept !== undefined) {
      this.#perform(kept)
      done({ kind: 'ready' })
      return
    }
    if (this.#core.isStopping(machine)) this.#startBehindStop(machine, deadlineMs, done)
    else this.#startNow(machine, deadlineMs, done)
  }

  #startNow(...[machine, deadlineMs, done]: Parameters<MachineWaker['start']>): void {
    this.#options.waker.start(machine, deadlineMs, (result) => {
      if (result.kind === 'ready') this.#perform(this.#core.started(machine))
      done(result)
    })
  }

  #startBehindStop(...[machine, deadlineMs, done]: Parameters<MachineWaker['start']>): void {
    const { clock } = this.#options
    const sinceMs = clock.monotonicMs()
    let isLate = false
    const late = clock.setTimer(() => {
      isLate = true
      done({ kind: 'failed', code: 'PM03', reason: 'its stop was not answered in time' })
    }, deadlineMs)
    const starts = this.#waiting.get(machine) ?? []
    this.#waiting.set(machine, starts)
    starts.push(() => {
      late[Symbol.dispose]()
      const leftMs = Math.max(1, deadlineMs - (clock.monotonicMs() - sinceMs))
      if (!isLate) this.#startNow(machine, leftMs, done)
    })
  }

  stop(...[machine, how, done]: Parameters<MachineWaker['stop']>): void {
    this.#options.waker.stop(machine, how, done)
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
  }

  #tick(): void {
    const { clock } = this.#options
    this.#perform(this.#core.tick(clock.nowMs(), clock.monotonicMs()))
  }

  #perform(actions: readonly AutostopAction[]): void {
    const { table, closeUpgrades, changed, waker } = this.#options
    for (const action of actions) {
      const { machine } = action
      if (action.type === 'setDraining') table.setDraining(machine, action.isDraining)
      else if (action.type === 'closeUpgrades') closeUpgrades(machine)
      else {
        waker.stop(machine, action.how, (result) => {
          this.#perform(this.#core.stopped(machine, result, this.#options.clock.monotonicMs()))
          const starts = this.#waiting.get(machine) ?? []
          this.#waiting.delete(machine)
          for (const start of starts) start()
        })
      }
    }
    if (actions.length > 0) changed()
    this.#arm()
  }

  #arm(): void {
    const { clock } = this.#options
    this.#timer?.[Symbol.dispose]()
    const nowMs = clock.monotonicMs()
    const waitMs = this.#core.wakeAtMs(clock.nowMs(), nowMs) - nowMs
    this.#timer = clock.setTimer(() => this.#tick(), Math.max(ERROR_MARGIN_MS, waitMs))
  }
}
