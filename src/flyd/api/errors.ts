import { GodwitError, httpStatusOf } from '#base'
import { FlydError, type FlydErrorCode } from '../errors.ts'

export type HostApiErrorCode = keyof typeof HostApiError.catalogue

/** What a host's API says of calls that never got to be the host's own affair. */
export class HostApiError extends GodwitError<HostApiErrorCode> {
  static override readonly catalogue = {
    /** Something broke on the host; its log has it. What it did before is not known. */
    'host.failed': { status: 500 },
    /**
     * Not signed with the cluster's key, or by a clock that is far off. The host answers 401; to a client
     * of the platform it is a failure of the platform.
     */
    'host.denied': { status: 500 },
    /** The file of the cluster's key is no such file. */
    'host.key_bad': { status: 500 },
  } as const
}

export interface ErrorBody {
  readonly code: string
  readonly what: string
  readonly values: Readonly<Record<string, unknown>>
  readonly fix?: string
}

/** What a refusal of another part means to who called this host. */
const byStatus: Readonly<Record<number, readonly [FlydErrorCode, string]>> = {
  400: ['flyd.argument_bad', 'invalid_argument'],
  404: ['flyd.not_found', 'not_found'],
  408: ['flyd.deadline_exceeded', 'deadline_exceeded'],
  504: ['flyd.deadline_exceeded', 'deadline_exceeded'],
  409: ['flyd.conflict', 'aborted'],
  412: ['flyd.state_bad', 'failed_precondition'],
  422: ['flyd.argument_bad', 'invalid_argument'],
}

/** The error as it travels. Our own and that of the API travel whole. */
export function bodyOfError(error: unknown): ErrorBody & { readonly status: number } {
  const status = httpStatusOf(error)
  if (error instanceof FlydError || error instanceof HostApiError) {
    const { code, what, values, fix } = error.toJSON()
    const shown = code === 'host.denied' ? 401 : status
    return { status: shown, code, what, values, ...(fix === undefined ? {} : { fix }) }
  }
  const known = byStatus[status]
  if (known !== undefined && error instanceof GodwitError) {
    const [code, prefix] = known
    return { status, code, what: `${prefix}: ${error.message}`, values: {} }
  }
  return { status: 500, code: 'host.failed', what: 'internal: the host failed', values: {} }
}

/** The error that a host's answer carries. A code that this version does not know: host.failed. */
export function errorOfBody(body: unknown, host: string): FlydError | HostApiError {
  const { code, what, values, fix } = body as Partial<ErrorBody>
  const fault = {
    what: String(what ?? 'internal: the host failed'),
    values: values ?? {},
    ...(fix === undefined ? {} : { fix }),
  }
  if (code !== undefined && code in FlydError.catalogue) {
    return new FlydError(code as FlydErrorCode, fault)
  }
  if (code === 'host.denied') return new HostApiError(code, fault)
  return new HostApiError('host.failed', { ...fault, values: { ...fault.values, host, code } })
}
