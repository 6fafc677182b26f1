import { GodwitError } from '#base'

export type ObserveErrorCode = keyof typeof ObserveError.catalogue

/** What keeping and reading logs and figures can throw. */
export class ObserveError extends GodwitError<ObserveErrorCode> {
  static override readonly catalogue = {
    /** There is no connection to NATS, or it does not answer. */
    'observe.unavailable': { status: 503, transient: true },
    /** Not a place in the log that was given out. */
    'observe.place_bad': { status: 400 },
    /** Bytes in the log that are no entry. */
    'observe.entry_bad': { status: 500 },
    /** A client of the log stream does not speak NATS' protocol. */
    'observe.protocol_bad': { status: 400 },
    /** What an app tells of itself is not Prometheus' text format. */
    'observe.metrics_bad': { status: 400 },
    /** Not a selector of series. */
    'observe.selector_bad': { status: 400 },
  } as const
}
