import { GodwitError } from '#base'

export type FlydErrorCode = keyof typeof FlydError.catalogue

/**
 * What a host refuses. Where the Machines API documents a text, `what` is that text, `<class>: <text>`,
 * and clients match on it: it holds no more than that.
 */
export class FlydError extends GodwitError<FlydErrorCode> {
  static override readonly catalogue = {
    /** A value that the call does not take. */
    'flyd.argument_bad': { status: 400 },
    'flyd.not_found': { status: 404 },
    /** Not reached in time. */
    'flyd.deadline_exceeded': { status: 408 },
    /** Somebody else was first: a lease, a version, a start; or there is no room. */
    'flyd.conflict': { status: 409 },
    /** Not from this state. */
    'flyd.state_bad': { status: 412 },
    /** This host was not reached: nothing was done. */
    'flyd.host_unreached': { status: 503, transient: true },
    /** The log holds something that this program did not write, or could not be written. */
    'flyd.log_bad': { status: 500 },
  } as const
}

/** The refusal with exactly this text. */
export const refuse = (code: FlydErrorCode, what: string, cause?: unknown): FlydError =>
  new FlydError(code, cause === undefined ? { what } : { what, cause })

export const machineNotFound = () => refuse('flyd.not_found', 'not_found: machine not found')

export const volumeNotFound = () => refuse('flyd.not_found', 'not_found: volume not found')
