import { GodwitError } from '#base'

export type ApiErrorCode = keyof typeof ApiError.catalogue

/** What a call of the Machines API ends with when it does not succeed. `values.status` is HTTP's. */
export class ApiError extends GodwitError<ApiErrorCode> {
  static override readonly catalogue = {
    /** No connection, or none that lasted. What the call changes may have happened. */
    'api.unreachable': { status: 502, transient: true },
    /** The server's certificate is not trusted here. */
    'api.untrusted': { status: 502 },
    /** No answer in time. What the call changes may have happened. */
    'api.timed_out': { status: 504, transient: true },
    /** What answered is no Machines API. */
    'api.answer_bad': { status: 502 },
    /** 401: no token, or none that is good now. */
    'api.unauthenticated': { status: 401 },
    /** 403: the token does not allow it. */
    'api.forbidden': { status: 403 },
    'api.not_found': { status: 404 },
    /** 408: not reached in time. */
    'api.not_reached': { status: 408, transient: true },
    /** 409: somebody else was first. */
    'api.conflict': { status: 409 },
    /** 412: not in this state. */
    'api.state_bad': { status: 412 },
    /** 400, 413 and 422: it cannot be as asked. */
    'api.refused': { status: 422 },
    'api.rate_limited': { status: 429, transient: true },
    /** Any other status from 500. */
    'api.failed': { status: 500 },
    /** 502, 503: nothing was done. */
    'api.unavailable': { status: 503, transient: true },
  } as const
}

const codes: Readonly<Record<number, ApiErrorCode>> = {
  401: 'api.unauthenticated',
  403: 'api.forbidden',
  404: 'api.not_found',
  408: 'api.not_reached',
  409: 'api.conflict',
  412: 'api.state_bad',
  429: 'api.rate_limited',
  502: 'api.unavailable',
  503: 'api.unavailable',
}

/** Of a server that says nothing of it: what is known here by the status alone. */
const fixes: Partial<Record<ApiErrorCode, string>> = {
  'api.unauthenticated': 'give a token of this platform with --access-token or GODWIT_TOKEN',
  'api.forbidden': 'use a token that allows this; `godwit tokens inspect` shows what one allows',
  'api.rate_limited': 'wait a moment, then try again',
  'api.failed': 'try again; the server has logged the request id',
  'api.unavailable': 'try again; nothing was changed',
}

export interface Refusal {
  readonly status: number
  readonly method: string
  readonly path: string
  /** The server's own words. */
  readonly text: string
  /** What programs match on, such as `insufficient_capacity`. */
  readonly label: string | undefined
  readonly requestId: string | undefined
  /** What the server says can be done. */
  readonly fix?: string | undefined
}

/** The error of an answer that is no success. */
export function errorOfAnswer(refusal: Refusal): ApiError {
  const { status, method, path, text, label, requestId } = refusal
  const code = codes[status] ?? (status < 500 ? 'api.refused' : 'api.failed')
  const fix = refusal.fix ?? fixes[code]
  return new ApiError(code, {
    what: text,
    values: {
      status,
      call: `${method} ${path}`,
      ...(label === undefined ? {} : { label }),
      ...(requestId === undefined ? {} : { request: requestId }),
    },
    ...(fix === undefined ? {} : { fix }),
  })
}
