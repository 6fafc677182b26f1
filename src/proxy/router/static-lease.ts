import type { Wish } from '../balance/wish.ts'
import type { Decision, ResponseFacts } from '../route.ts'
import type { PortRoute, ServiceEntry } from '../routing-table/app-tree.ts'
import { STATIC_HEADER, STATIC_MISS } from '../statics/static-order.ts'
import type { DecisionExtras } from './decision-maker.ts'
import { type LeaseOwner, MachineLease } from './machine-lease.ts'
import type { RequestSubject } from './request-subject.ts'

/** What a machine was chosen for. */
export interface Chosen {
  readonly service: ServiceEntry
  readonly route: PortRoute
  readonly wish: Wish
  readonly subject: RequestSubject
  readonly extras: DecisionExtras
}

/** Chooses once more, for the app this time. */
export type ChooseAgain = (
  again: [route: PortRoute, wish: Wish, subject: RequestSubject, extras: DecisionExtras],
) => Decision | Promise<Decision>

/** A machine taken for one of its files: where it does not have it, the request goes to the app. */
export class StaticLease extends MachineLease {
  readonly #chosen: Chosen
  readonly #chooseAgain: ChooseAgain

  constructor(chosen: Chosen, owner: LeaseOwner, chooseAgain: ChooseAgain) {
    const { service, route, wish, subject } = chosen
    super(service, route, wish.isMachineForced, subject, owner)
    this.#chosen = chosen
    this.#chooseAgain = chooseAgain
  }

  override responded(response: ResponseFacts): undefined | Decision | Promise<Decision> {
    if (response.status !== 404 || response.header(STATIC_HEADER) !== STATIC_MISS) return undefined
    if (!response.canReplay) return { kind: 'refuse', status: 502, code: 'PA01' }
    const { route, wish, subject, extras } = this.#chosen
    return this.#chooseAgain([route, wish, { ...subject, mayBeStatic: false }, extras])
  }
}
