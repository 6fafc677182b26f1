import type { Answer } from './bid.ts'
import type { CapacityBook, Hold } from './capacity-book.ts'
import type { HostFacts, HostView } from './host.ts'
import type { PlacementRequest } from './placement-request.ts'
import type { Refusal, RefusalReason } from './refusal.ts'

export interface BidderOptions {
  readonly facts: HostFacts
  readonly book: CapacityBook
  readonly view: HostView
}

/** A host's side of the market: what it answers, and what it reserves. No I/O, no clock of its own. */
export class Bidder {
  readonly facts: HostFacts
  readonly #book: CapacityBook
  readonly #view: HostView

  constructor({ facts, book, view }: BidderOptions) {
    this.facts = facts
    this.#book = book
    this.#view = view
  }

  /** Promises nothing: the room may be gone when the order comes. */
  answer(request: PlacementRequest, nowMs: number): Answer {
    this.#book.expire(nowMs)
    const refusal = this.#mismatch(request) ?? this.#book.refusalOf(holdOf(request), 'place')
    if (refusal !== undefined) return { type: 'refusal', refusal }
    const { host, region } = this.facts
    const bid = {
      host,
      region,
      utilisation: this.#book.utilisationWith(holdOf(request).needs),
      appMachines: this.#view.countOfApp(request.app),
      hasImage: request.image !== undefined && this.#view.hasImage(request.image),
    }
    return { type: 'bid', bid }
  }

  /** Looks at everything anew: since the bid, machines came, and this host may have been closed. */
  reserve(
    reservation: string,
    request: PlacementRequest,
    ttlMs: number,
    nowMs: number,
  ): Refusal | undefined {
    return this.#mismatch(request) ?? this.#book.reserve(reservation, holdOf(request), ttlMs, nowMs)
  }

  cancel(reservation: string): void {
    this.#book.cancel(reservation)
  }

  /** The first constraint that this host does not satisfy. */
  #mismatch(request: PlacementRequest): Refusal | undefined {
    const { host, region, hardware, dedication } = this.facts
    const { beside = [], apart = [] } = request
    const holds = (id: string) => this.#view.holds(id)
    if (!request.regions.includes(region)) return because('other_region')
    if (request.host !== undefined && request.host !== host) return because('other_host')
    if (request.hardware !== undefined && request.hardware !== hardware) return because('hardware')
    if (request.dedication !== dedication) return because('dedication')
    if (request.volume !== undefined && !holds(request.volume)) return because('volume_elsewhere')
    if (!beside.every(holds)) return because('not_beside')
    if (apart.some(holds)) return because('not_apart')
    return undefined
  }
}

const because = (reason: RefusalReason): Refusal => ({ reason })

/** What a placement takes from the host that it ends on. */
function holdOf({ guest, volumeBytes, exclusive }: PlacementRequest): Hold {
  const needs = {
    ...(guest === undefined ? {} : { guest }),
    ...(volumeBytes === undefined ? {} : { volumeBytes }),
  }
  return { needs, exclusive }
}
