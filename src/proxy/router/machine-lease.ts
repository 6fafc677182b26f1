// HOT: one for each request.
import type { Decision, Lease, LeaseResult, ResponseFacts } from '../route.ts'
import type { PortRoute, ServiceEntry } from '../routing-table/app-tree.ts'
import type { RequestSubject } from './request-subject.ts'

/** Who follows what becomes of leases. */
export interface LeaseOwner {
  connected(lease: MachineLease): void
  responded(
    lease: MachineLease,
    response: ResponseFacts,
  ): undefined | 'read-body' | Decision | Promise<Decision>
  replayBody(lease: MachineLease, body: Uint8Array): Decision | Promise<Decision>
  released(lease: MachineLease, result: LeaseResult): void
}

export class MachineLease implements Lease {
  readonly machine: string
  readonly service: ServiceEntry
  readonly subject: RequestSubject
  /** Of the target: after a replay not the one that the request came in by. */
  readonly route: PortRoute
  /** No other machine will do. */
  readonly isForced: boolean
  readonly #owner: LeaseOwner
  #isReleased = false

  constructor(
    service: ServiceEntry,
    route: PortRoute,
    isForced: boolean,
    subject: RequestSubject,
    owner: LeaseOwner,
  ) {
    this.route = route
    this.isForced = isForced
    this.machine = service.machine.id
    this.service = service
    this.subject = subject
    this.#owner = owner
  }

  /** Another machine could take the request: a worker may refuse it instead of making it wait. */
  get hasAlternatives(): boolean {
    if (this.isForced) return false
    for (const { bands } of this.route.regions) {
      for (const band of bands) if (band.some((other) => other !== this.service)) return true
    }
    return false
  }

  connected(_connectUs: number): void {
    this.#owner.connected(this)
  }

  responded(response: ResponseFacts): ReturnType<LeaseOwner['responded']> {
    return this.subject.isHttp ? this.#owner.responded(this, response) : undefined
  }

  replayBody(body: Uint8Array): Decision | Promise<Decision> {
    return this.#owner.replayBody(this, body)
  }

  release(result: LeaseResult, _bytes: { readonly sent: number; readonly received: number }): void {
    if (this.#isReleased) return // counted once, whatever a caller does
    this.#isReleased = true
    this.#owner.released(this, result)
  }
}
