import type { Wish } from '../balance/wish.ts'
import type { Decision } from '../route.ts'
import type { PortRoute, ServiceEntry } from '../routing-table/app-tree.ts'
import type { RequestSubject } from './request-subject.ts'
import type { NoMachine, RoutingCore } from './routing-core.ts'

/** More of a decision than the machine. */
export interface DecisionExtras {
  readonly headers?: ReadonlyMap<string, string | false> | undefined
  readonly target?: string | undefined
}

/** Decides on a request for who knows which route it takes and what it asks of the choice. */
export interface DecisionMaker {
  readonly core: RoutingCore
  /** A machine for the subject, at once or after waiting for one. */
  choose(
    route: PortRoute,
    wish: Wish,
    subject: RequestSubject,
    extras: DecisionExtras,
    signal: AbortSignal | undefined,
  ): Decision | Promise<Decision>
  /** The way to a machine that was taken. */
  decide(
    service: ServiceEntry,
    route: PortRoute,
    wish: Wish,
    subject: RequestSubject,
    extras: DecisionExtras,
  ): Decision
  refuse(reason: NoMachine): Decision
  /** Before attempt number `attempt`. Also ends when the signal aborts. */
  pause(attempt: number, signal: AbortSignal | undefined): Promise<void>
}
