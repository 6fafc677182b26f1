import type { Log } from '#base'
import type { MachineSeen } from '../model/machine-seen.ts'
import { isGone } from '../model/machine-state.ts'
import type { MachineView } from '../model/machine-view.ts'
import { type MoveOptions, moveMachine } from './move-machine.ts'

export interface EvacuationOptions extends MoveOptions {
  readonly view: MachineView
  /** This host is to be empty. */
  readonly isDraining: () => boolean
  readonly log: Log
}

/** As an operator sees it. */
export interface EvacuationStatus {
  readonly moving: readonly string[]
  /** Machines that could not move when it was last tried, and why; tried again every now and then. */
  readonly stay: readonly { readonly machine: string; readonly app: string; readonly why: string }[]
}

/** Of different apps at a time; of one app one after the other, so that the others serve meanwhile. */
const APPS_AT_ONCE = 4
const LOOK_MS = 500
const AGAIN_MS = 30_000

/** Moves the machines of a host that drains to others, and ends moves that were begun before. */
export class Evacuation implements AsyncDisposable {
  readonly #options: EvacuationOptions
  readonly #stop = new AbortController()
  readonly #moving = new Map<string, Promise<void>>()
  readonly #stay = new Map<string, { readonly why: string; readonly atMs: number }>()
  readonly #loop: Promise<void>

  constructor(options: EvacuationOptions) {
    this.#options = options
    this.#loop = this.#run()
  }

  get status(): EvacuationStatus {
    const { view } = this.#options
    const stay = [...this.#stay].flatMap(([machine, { why }]) => {
      const seen = view.machine(machine)
      return seen === undefined || isGone(seen) ? [] : [{ machine, app: seen.appName, why }]
    })
    return { moving: [...this.#moving.keys()], stay }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('flyd ends'))
    await this.#loop
    await Promise.all(this.#moving.values())
  }

  async #run(): Promise<void> {
    const { clock } = this.#options
    const { signal } = this.#stop
    while (!signal.aborted) {
      this.#look()
      await clock.sleep(LOOK_MS, signal).catch(() => undefined) // aborted: the loop sees it
    }
  }

  #look(): void {
    const { view, isDraining, clock } = this.#options
    const mayBegin = isDraining()
    if (!mayBegin) this.#stay.clear()
    const apps = new Set([...this.#moving.keys()].map((id) => view.machine(id)?.appId))
    for (const machine of view.machines()) {
      if (this.#moving.size >= APPS_AT_ONCE) return
      if (isGone(machine) || apps.has(machine.appId)) continue
      if (machine.migration?.phase === 'leaving') continue // it ends by itself
      const isBegun = machine.migration?.side === 'out'
      const triedMs = this.#stay.get(machine.id)?.atMs ?? -Infinity
      const isDue = mayBegin && clock.monotonicMs() - triedMs >= AGAIN_MS
      if (!isBegun && !isDue) continue
      apps.add(machine.appId)
      this.#moving.set(machine.id, this.#move(machine))
    }
  }

  async #move({ id, appName }: MachineSeen): Promise<void> {
    const { log, clock } = this.#options
    const { signal } = this.#stop
    try {
      const end = await moveMachine(id, this.#options, signal)
      if (end.moved) {
        this.#stay.delete(id)
        log.info({ machine: id, app: appName }, 'a machine has moved to another host')
      } else this.#keep(id, end.why, clock.monotonicMs())
    } catch (err) {
      if (signal.aborted) return
      log.error({ err, machine: id }, 'a machine could not be moved')
      this.#keep(id, String(err), clock.monotonicMs())
    } finally {
      this.#moving.delete(id)
    }
  }

  #keep(id: string, why: string, atMs: number): void {
    if (this.#stay.get(id)?.why !== why) {
      this.#options.log.warn({ machine: id, why }, 'a machine stays on this host')
    }
    this.#stay.set(id, { why, atMs })
  }
}
