import { errorCode, GodwitError } from '#base'
import { FlydError } from '#flyd'
import { FlapsError } from './errors.ts'
import { type Named, nextStepOf } from './next-step.ts'

/** What a call answers. `body` undefined: none. A text is sent as it is, all else as JSON. */
export interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface ErrorBody {
  readonly error: string
  readonly status?: string
  /** What can be done about it, in words for people. */
  readonly fix?: string
}

export const ok = (body: unknown): Answer => ({ status: 200, body })
export const done: Answer = { status: 200, body: { ok: true } }
export const noContent: Answer = { status: 204 }

/** What nobody threw on purpose, and what clients can do nothing about. */
export const internalError: Answer = { status: 500, body: { error: 'internal: internal error' } }

/** The class of an error before its colon, by status. Source: the error codes of Connect RPC. */
const classes: Readonly<Record<number, string>> = {
  400: 'invalid_argument',
  401: 'unauthenticated',
  403: 'permission_denied',
  404: 'not_found',
  409: 'aborted',
  412: 'failed_precondition',
  422: 'invalid_argument',
  429: 'resource_exhausted',
}

/**
 * What an error of any part looks like to a client; undefined: nobody threw it on purpose.
 *
 * @param named by the path of the call
 */
export function answerOfError(error: unknown, named: Named = {}): Answer | undefined {
  if (error instanceof FlapsError || error instanceof FlydError)
    return answerOfRefusal(error, named)
  if (error instanceof GodwitError) return answerOfPart(error, named)
  return answerOfFramework(error)
}

function answerOfRefusal(refusal: FlapsError | FlydError, named: Named): Answer {
  const { traits, what, values } = refusal
  const body: ErrorBody = {
    error: what,
    ...('label' in traits ? { status: String(traits.label) } : {}),
    ...withFix(refusal.fix ?? nextStepOf(refusal, named)),
  }
  const { retryAfterS } = values
  return {
    status: traits.status,
    body,
    ...(retryAfterS === undefined ? {} : { headers: { 'retry-after': String(retryAfterS) } }),
  }
}

const withFix = (fix: string | undefined) => (fix === undefined ? {} : { fix })

/**
 * A failure of another part is logged whole and told as nothing: its text is for operators. It tells
 * nobody that nothing was done either, so it is never 502 or 503.
 */
function answerOfPart(failure: GodwitError, named: Named): Answer {
  const { code, traits, message } = failure
  const isLate = code === 'base.deadline_exceeded' || code === 'base.cancelled'
  if (isLate) {
    const error = `deadline_exceeded: ${message}`
    return { status: 408, body: { error, ...withFix(nextStepOf(failure, named)) } }
  }
  if (traits.status >= 500) return internalError
  const error = `${classes[traits.status] ?? 'invalid_argument'}: ${message}`
  return { status: traits.status, body: { error } }
}

/** What Fastify itself finds wrong with a request before any of our code sees it. */
function answerOfFramework(error: unknown): Answer | undefined {
  const code = errorCode(error)
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return { status: 413, body: { error: 'http: request body too large' } }
  }
  if (code?.startsWith('FST_ERR_CTP') || code === 'FST_ERR_BAD_URL') {
    return { status: 400, body: { error: `invalid_argument: ${(error as Error).message}` } }
  }
  return undefined
}
