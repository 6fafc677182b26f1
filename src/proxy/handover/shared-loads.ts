import type { Clock } from '#base'
import type { ServiceEntry } from '../routing-table/app-tree.ts'
import type { RoutingTable } from '../routing-table/routing-table.ts'
import type { HandoverLine } from './handover-line.ts'
import type { ServiceLoad } from './handover-message.ts'

export interface SharedLoadsOptions {
  readonly table: RoutingTable
  readonly clock: Clock
  /** What the other one carries has changed: whoever waits for room may look again. */
  readonly changed: () => void
}

const TELL_MS = 25
/** Of some 50 bytes each; a message has 64 KiB. */
const LOADS_PER_MESSAGE = 500

/**
 * While two processes serve one host, limits and autostop count what both carry: each tells the other what goes to the
 * machines of this host through it, at once and then as it changes.
 */
export class SharedLoads implements Disposable {
  readonly #options: SharedLoadsOptions
  readonly #line: Pick<HandoverLine, 'say' | 'isIdle'>
  #told = new Map<ServiceEntry, number>()
  readonly #heard = new Set<ServiceEntry>()
  #timer: Disposable | undefined

  constructor(line: Pick<HandoverLine, 'say' | 'isIdle'>, options: SharedLoadsOptions) {
    this.#line = line
    this.#options = options
    this.#tell(true)
  }

  heard(loads: readonly ServiceLoad[]): void {
    const { table, changed } = this.#options
    for (const [id, protocol, internalPort, count] of loads) {
      for (const service of table.machine(id)?.services ?? []) {
        if (service.protocol !== protocol || service.internalPort !== internalPort) continue
        service.elsewhere = count
        this.#heard.add(service)
      }
    }
    if (loads.length > 0) changed()
  }

  /** @param isFirst also when there is nothing: the other one begins when it hears it */
  #tell(isFirst: boolean): void {
    if (this.#line.isIdle) this.#say(isFirst)
    this.#timer = this.#options.clock.setTimer(() => this.#tell(false), TELL_MS)
  }

  #say(isFirst: boolean): void {
    const now = new Map(this.#carried())
    const changes: ServiceLoad[] = []
    for (const service of new Set([...this.#told.keys(), ...now.keys()])) {
      const count = now.get(service) ?? 0
      if (count === (this.#told.get(service) ?? 0)) continue
      changes.push([service.machine.id, service.protocol, service.internalPort, count])
    }
    this.#told = now
    for (let at = 0; at < changes.length || (isFirst && at === 0); at += LOADS_PER_MESSAGE)
      this.#line.say({ type: 'loads', loads: changes.slice(at, at + LOADS_PER_MESSAGE) })
  }

  *#carried(): Generator<[ServiceEntry, number]> {
    const { table } = this.#options
    for (const { machines } of table.apps()) {
      for (const { host, services } of machines) {
        if (host !== table.topology.own) continue
        for (const service of services) {
          if (service.inFlight > 0) yield [service, service.inFlight]
        }
      }
    }
  }

  /** The other one has ended, or this one does: it carries nothing any more. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
    for (const service of this.#heard) service.elsewhere = 0
    this.#options.changed()
  }
}
