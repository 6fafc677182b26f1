import { GodwitError } from '#base'

export type DelayErrorCode = keyof typeof DelayError.catalogue

/** What starting the delay process, running it or talking to it can end in. */
export class DelayError extends GodwitError<DelayErrorCode> {
  static override readonly catalogue = {
    /** The configuration breaks its schema or contradicts itself; every problem is listed. */
    'delay.config_bad': { status: 422 },
    'delay.namespace_missing': { status: 404 },
    /** A system call failed; `values` has its name and the errno's name. */
    'delay.system': { status: 500 },
    'delay.link_unknown': { status: 404 },
    /** A line on the control socket is not one of its requests. */
    'delay.request_bad': { status: 400 },
    /** Nothing answers on the control socket, or not in time. */
    'delay.unreachable': { status: 503, transient: true },
    /** The process ended, or stayed silent, before its links carried frames. */
    'delay.start_failed': { status: 500 },
  } as const
}
