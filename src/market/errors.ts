import { GodwitError } from '#base'

export type MarketErrorCode = keyof typeof MarketError.catalogue

/** What the market throws. Outside bytes cause nothing else. */
export class MarketError extends GodwitError<MarketErrorCode> {
  static override readonly catalogue = {
    /** Text that is no host id, region code or client id of the market. */
    'market.id_bad': { status: 400 },
    /** Limits or ranking marks that do not fit together. */
    'market.limits_bad': { status: 422 },
    /** A placement that asks for something impossible: no region, a negative size. */
    'market.request_bad': { status: 400 },
    /** Bytes from the market's subjects that are no message of it. */
    'market.message_malformed': { status: 400 },
    /** A host's capacity with a figure that makes no sense. */
    'market.capacity_bad': { status: 422 },
    /** The reservation was never made here, has expired, or was released. */
    'market.reservation_gone': { status: 409 },
    /** The machine or volume holds capacity under another reservation already. */
    'market.holder_taken': { status: 409 },
    /** Every host that fits the constraints is full or closed. */
    'market.no_capacity': { status: 422 },
    /** Hosts answered, and none satisfies the constraints. */
    'market.no_match': { status: 422 },
    /** Hosts had room, and others took it first at each that was ordered from. */
    'market.contended': { status: 503, transient: true },
    /** No host answered. */
    'market.no_answer': { status: 503, transient: true },
    /** Hosts were still being tried when time was up. */
    'market.deadline': { status: 504, transient: true },
    /** There is no connection to NATS. Nothing was asked. */
    'market.unavailable': { status: 503, transient: true },
    /** This placer has as many placements under way as it takes. */
    'market.overloaded': { status: 503, transient: true },
    /** The NATS server did not start, or does not take a change. */
    'market.server_failed': { status: 500 },
  } as const
}
