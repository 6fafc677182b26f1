import { NO_WISH } from '../balance/wish.ts'
import type { RoutingCore } from '../router/routing-core.ts'
import type { MachineEntry, ServiceEntry } from '../routing-table/app-tree.ts'
import type { OpenFacts } from './open-facts.ts'

/** A machine that stopped so recently is not woken for a request that has another one. */
const RECENTLY_STOPPED_MS = 5 * 60_000
export const FULL = 'FULL'

export type Admission =
  | { readonly kind: 'admitted'; readonly service: ServiceEntry }
  /** PR02 not here, PM11 stopped a moment ago, FULL at its hard limit, and the codes of RoutingCore. */
  | { readonly kind: 'refused'; readonly code: string; readonly load: number }

/**
 * Who is let to the machines of this host: the worker's word is the last one, for the edges' news may be late. It
 * counts against the limits, wakes what sleeps, and makes wait who has no other machine.
 */
export class WorkerGate {
  readonly #core: RoutingCore

  constructor(core: RoutingCore) {
    this.#core = core
  }

  /** `done` is called once, unless the request is given up first. @returns gives up */
  admit(facts: OpenFacts, done: (admission: Admission) => void): (() => void) | undefined {
    const { table } = this.#core
    const machine = table.machine(facts.machine)
    const route = machine?.app?.route('tcp', facts.publicPort, table.topology)
    const service = route?.byMachine.get(facts.machine)
    const isHere = machine?.host === table.topology.own
    if (machine === undefined || route === undefined || service === undefined || !isHere) {
      done({ kind: 'refused', code: 'PR02', load: 0 })
      return undefined
    }
    const refuse = (code: string) => done({ kind: 'refused', code, load: service.load })
    if (facts.hasAlternatives && this.#isRecentlyStopped(machine)) {
      refuse('PM11')
      return undefined
    }
    const wish = { ...NO_WISH, machine: machine.id, isMachineForced: true }
    const taken = this.#core.take(route, wish)
    if (typeof taken !== 'string') {
      done({ kind: 'admitted', service: taken })
      return undefined
    }
    if (facts.hasAlternatives && taken !== 'asleep') {
      refuse(taken === 'full' ? FULL : this.#core.codeOf(route, taken))
      return undefined
    }
    return this.#core.wait(route, wish, taken, (answer) => {
      if ('code' in answer) refuse(answer.code)
      else done({ kind: 'admitted', service: answer })
    })
  }

  release(service: ServiceEntry): void {
    this.#core.release(service)
  }

  #isRecentlyStopped(machine: MachineEntry): boolean {
    if (machine.isDraining || machine.availability === 'changing') return true
    const nowMs = this.#core.clock.monotonicMs()
    return machine.availability === 'startable' && nowMs - machine.stoppedAtMs < RECENTLY_STOPPED_MS
  }
}
