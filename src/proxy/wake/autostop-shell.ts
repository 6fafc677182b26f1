import type { Clock } from '#base'
import type { MachineEntry } from '../routing-table/machine-entry.ts'
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
  #timer: Disposable | undefined

  constructor(options: AutostopOptions) {
    this.#options = options
    this.#core = new AutostopCore(options.table, options.clock.nowMs(), options.times)
    this.#arm()
  }

  /** A machine that is about to be stopped here is kept; any other is started by its host. */
  start(...[machine, deadlineMs, done]: Parameters<MachineWaker['start']>): void {
    const kept = this.#core.revive(machine)
    if (kept !== undefined) {
      this.#perform(kept)
      done({ kind: 'ready' })
      return
    }
    this.#options.waker.start(machine, deadlineMs, (result) => {
      if (result.kind === 'ready') this.#perform(this.#core.started(machine))
      done(result)
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
        waker.stop(machine, action.how, (result) =>
          this.#perform(this.#core.stopped(machine, result, this.#options.clock.monotonicMs())),
        )
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
