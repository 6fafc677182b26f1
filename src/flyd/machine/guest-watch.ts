import { type Clock, type Log, type Random, startDeadline } from '#base'
import type { MachineEffects } from '../effects/machine-effects.ts'
import type { Engine } from '../engine/engine.ts'
import type { Ledger } from '../engine/ledger.ts'
import type { GuestExit } from '../model/guest-exit.ts'
import type { NewEvent } from '../model/machine-event.ts'
import { exitRequest } from './exit-request.ts'
import type { MachineControl } from './machine-control.ts'
import { type MachineRecord, subjectOf } from './machine-record.ts'
import type { MachineTable } from './machine-table.ts'
import { resourceOf } from './machine-writer.ts'
import { decideRestart } from './restart-policy.ts'
import { CLEAR, LAUNCH } from './step-sequences.ts'

export interface GuestWatchOptions {
  readonly ledger: Ledger
  readonly engine: Engine
  readonly machines: MachineTable
  readonly control: MachineControl
  readonly effects: MachineEffects
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** At once, when flyd starts. */
const LOOKS_MAX = 16
const LOOK_MS = 60_000
const LOOK_AGAIN_MS = 5_000

/**
 * Notices guests that end without having been asked, also those that did while flyd was away, and does what
 * the restart policy says. Guests outlive flyd: `adoptAll` takes them over.
 */
export class GuestWatch implements Disposable {
  readonly #options: GuestWatchOptions
  readonly #subscription: Disposable
  readonly #stop = new AbortController()

  constructor(options: GuestWatchOptions) {
    this.#options = options
    this.#subscription = options.effects.onGuestEnd((id, exit) => {
      this.#inBackground(id, () => this.#ended(id, exit))
    })
  }

  /** Of all machines that are to run and that no run works on. */
  async adoptAll(): Promise<void> {
    const { machines, engine } = this.#options
    const waiting = [...machines.records.values()]
      .filter(({ id, state }) => state === 'started' && !engine.isBusy(resourceOf(id)))
      .map(({ id }) => id)
    const look = async () => {
      for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) await this.#look(id)
    }
    await Promise.all(Array.from({ length: LOOKS_MAX }, look))
  }

  /** That the guest of a machine which is to run does run. */
  look(id: string): void {
    this.#inBackground(id, () => this.#look(id))
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new Error('flyd ends'))
    this.#subscription[Symbol.dispose]()
  }

  async #look(id: string): Promise<void> {
    const { effects, machines, clock, log } = this.#options
    const { signal } = this.#stop
    for (;;) {
      const before = machines.staged(id)
      if (before?.state !== 'started' || signal.aborted) return
      try {
        using deadline = startDeadline('looking at a guest', LOOK_MS, { signal, clock })
        const presence = await effects.adopt(subjectOf(before), deadline.signal)
        if (presence.state === 'running' || machines.staged(id) !== before) return
        await this.#ended(id, presence.state === 'ended' ? presence.exit : undefined)
        return
      } catch (error) {
        if (signal.aborted) return
        log.warn({ err: error, machine: id }, 'cannot tell whether a guest runs: looks again')
        await clock.sleep(LOOK_AGAIN_MS, signal)
      }
    }
  }

  async #ended(id: string, exit: GuestExit | undefined): Promise<void> {
    const { ledger, engine, machines, clock, random } = this.#options
    if (this.#stop.signal.aborted) return
    await ledger.transact((transaction) => {
      const record = machines.staged(id)
      // Whoever works on it knows, or learns it from the run's own steps.
      if (record?.state !== 'started' || engine.isBusy(resourceOf(id))) return
      const { restarts: history, config } = record
      const decision = decideRestart(config, exit, { history, nowMs: clock.nowMs(), random })
      const restarts = decision.history
      const accept = (kind: string, steps: readonly string[], input: object = {}) => {
        const resource = resourceOf(id)
        engine.accept(transaction, { kind, resource, input: { machineId: id, ...input }, steps })
      }
      const event = exitEvent(exit, decision.restarts, restarts.count)
      if (decision.restarts) {
        const again: NewEvent = { type: 'restart', status: 'starting', source: 'flyd' }
        machines.put(transaction, { ...record, state: 'starting', restarts }, event, again)
        const { delayMs } = decision
        accept('machine.relaunch', ['backoff', ...CLEAR, ...LAUNCH], { delayMs })
        return
      }
      if (decision.isExhausted) this.#tellExhausted(record, restarts.count)
      const stopped = { ...record, state: 'stopped' as const, restarts, isStandingIn: false }
      const next = machines.put(transaction, stopped, event)
      if (config['auto_destroy'] === true) {
        this.#options.control.destroyIn(transaction, next, 'flyd')
      } else accept('machine.clean', CLEAR)
    })
  }

  #tellExhausted({ id }: MachineRecord, count: number): void {
    const { log } = this.#options
    log.info({ machine: id }, `machine has reached its max restart count of ${count}`)
  }

  #inBackground(id: string, act: () => Promise<void>): void {
    act().catch((error: unknown) => {
      if (this.#stop.signal.aborted) return
      this.#options.log.error({ err: error, machine: id }, 'the end of a guest was not dealt with')
    })
  }
}

const exitEvent = (
  exit: GuestExit | undefined,
  restarting: boolean,
  restartCount: number,
): NewEvent => ({
  type: 'exit',
  status: 'stopped',
  source: 'flyd',
  request: exitRequest(exit, { requested: false, restarting, restartCount }),
})
