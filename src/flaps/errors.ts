import { errorCode, GodwitError } from '#base'

export type FlapsErrorCode = keyof typeof FlapsError.catalogue

/**
 * What the API refuses. `what` is the text that clients see, `<class>: <text>` where the documented
 * body has a class, and clients match on it: it holds no more than that. `label` is the documented
 * machine-readable `status` beside it; a label that clients do not know switches their matching of
 * texts off, so there are no others.
 *
 * 502 and 503 are what clients send again, whatever the method: only `flaps.host_unreached` is 503, where
 * nothing was done yet, and `flaps.logs_unreached`, whose call changes nothing.
 */
export class FlapsError extends GodwitError<FlapsErrorCode> {
  static override readonly catalogue = {
    /** A body that is no JSON, or of a type that the call does not take. */
    'flaps.body_bad': { status: 400 },
    /** A value that the call does not take. */
    'flaps.argument_bad': { status: 400 },
    /** No token, or none that this platform issued and that is still good. */
    'flaps.unauthenticated': { status: 401 },
    /** A genuine token without the right. */
    'flaps.forbidden': { status: 403 },
    'flaps.not_found': { status: 404 },
    /** Not reached in time. Its effect may have happened. */
    'flaps.deadline_exceeded': { status: 408 },
    /** Somebody else was first: a lease, a version, a start. */
    'flaps.conflict': { status: 409 },
    'flaps.name_exists': { status: 409 },
    'flaps.state_bad': { status: 412 },
    'flaps.volume_host_full': { status: 412, label: 'volume_placement_capacity' },
    'flaps.body_too_large': { status: 413 },
    'flaps.unprocessable': { status: 422 },
    'flaps.app_name_taken': { status: 422, label: 'name_taken' },
    'flaps.capacity_lacking': { status: 422, label: 'insufficient_capacity' },
    'flaps.rate_limited': { status: 429, transient: true },
    /** The log does not answer. */
    'flaps.logs_unreached': { status: 503, transient: true },
    /** The request did not leave this process. */
    'flaps.host_unreached': { status: 503, transient: true },
  } as const
}

/** The refusal with exactly this text. */
export const refuse = (code: FlapsErrorCode, what: string, cause?: unknown): FlapsError =>
  new FlapsError(code, cause === undefined ? { what } : { what, cause })

/** The same, and what the caller can do: beside the text, not in it, for clients match on that. */
export const refuseWithFix = (code: FlapsErrorCode, what: string, fix: string): FlapsError =>
  new FlapsError(code, { what, fix })

export const machineNotFound = () => refuse('flaps.not_found', 'not_found: machine not found')

export const machineIdBad = (shown: string) =>
  refuseWithFix(
    'flaps.argument_bad',
    `invalid machine ID, '${shown}'`,
    '`godwit machine list` shows the machines of an app',
  )

export const appNotFound = (name: string) =>
  refuseWithFix(
    'flaps.not_found',
    `Could not find App "${name}"`,
    'look at the name (--app, FLY_APP, fly.toml); `godwit apps list` shows the apps, `godwit apps create` makes one',
  )

export const noAddressFree = (kind: string) =>
  refuseWithFix(
    'flaps.unprocessable',
    `no ${kind} address is free`,
    kind === 'v4'
      ? 'HTTP and TLS are served at the shared address; operators add others to `addresses` of a gateway'
      : 'operators add addresses to `addresses` of a gateway',
  )

/** Of ours, or of a host. */
export function isNotFound(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'flaps.not_found' || code === 'flyd.not_found'
}

/** Nothing was done, and nothing will be: of ours, or of a host that answered. */
export function isRefusal(error: unknown): boolean {
  const code = errorCode(error) ?? ''
  return /^(flaps|flyd)\./.test(code) && !code.endsWith('.deadline_exceeded')
}

export const organizationNotFound = (slug: string) =>
  refuseWithFix(
    'flaps.not_found',
    `Could not find Organization "${slug}"`,
    'look at the name; `godwit orgs list` shows the organisations',
  )
