import { GraphQLError } from 'graphql'
import { errorCode, type Log } from '#base'
import { answerOfError } from '#flaps'

/** As clients read it: all of `extensions` are texts. */
export interface ErrorJson {
  readonly message: string
  readonly path?: readonly (string | number)[]
  readonly extensions: { readonly code: string }
}

/** The classes of errors that clients know, by the status that the Machines API has for the same. */
const codes: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENTS',
  401: 'UNAUTHORIZED',
  403: 'UNAUTHORIZED',
  404: 'NOT_FOUND',
  409: 'UNPROCESSABLE',
  412: 'UNPROCESSABLE',
  413: 'UNPROCESSABLE',
  422: 'UNPROCESSABLE',
  429: 'RATE_LIMITED',
}

/** What was thrown, for the client: what nobody threw on purpose is logged whole and told as nothing. */
export function errorJson(thrown: unknown, log: Log): ErrorJson {
  const answer = answerOfError(thrown)
  const isOurs = answer !== undefined && answer.status < 500
  const isUnreached = answer?.status === 503 && errorCode(thrown)?.startsWith('flaps.') === true
  if (!isOurs && !isUnreached) {
    log.error({ err: thrown }, 'a field could not be answered')
    return { message: 'internal error', extensions: { code: 'SERVER_ERROR' } }
  }
  const { error } = answer.body as { error: string }
  return {
    message: error.replace(/^[a-z_]+: /, ''),
    extensions: { code: codes[answer.status] ?? 'SERVER_ERROR' },
  }
}

/** Of a document or its variables, or of a field. */
export function graphqlErrorJson(error: GraphQLError, log: Log): ErrorJson {
  const { originalError, path, message } = error
  if (originalError == null || originalError instanceof GraphQLError) {
    return { message, ...pathOf(path), extensions: { code: 'INVALID' } }
  }
  return { ...errorJson(originalError, log), ...pathOf(path) }
}

const pathOf = (path: GraphQLError['path']) => (path == null ? {} : { path })
