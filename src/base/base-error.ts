import { GodwitError } from './errors.ts'

export type BaseErrorCode = keyof typeof BaseError.catalogue

/** What the base itself can throw. */
export class BaseError extends GodwitError<BaseErrorCode> {
  static override readonly catalogue = {
    /** Text that is not an id of the kind asked for. */
    'base.id_bad': { status: 422 },
    /** Text that is not a name or slug. */
    'base.slug_bad': { status: 422 },
    /** A configuration that its schema refuses, or that is no TOML. */
    'base.config_bad': { status: 422 },
    /** A configuration file that cannot be read. */
    'base.config_unreadable': { status: 404 },
    /** An operation did not end in time. */
    'base.deadline_exceeded': { status: 504, transient: true },
    /** Somebody asked for an end before the operation had one: Ctrl-C, a client that went away. */
    'base.cancelled': { status: 499 },
    /** A log level, duration or size that is written wrongly. */
    'base.value_bad': { status: 422 },
    /** Files of a server's certificate and key that are none, or not of each other. */
    'base.certificate_bad': { status: 422 },
  } as const
}
