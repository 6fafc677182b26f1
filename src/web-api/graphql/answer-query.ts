import {
  type DocumentNode,
  execute,
  type GraphQLError,
  type GraphQLSchema,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  validate,
} from 'graphql'
import { type Log, startDeadline, unlessAborted } from '#base'
import type { WebCall, WebCallInit } from '../web-call.ts'
import { type ErrorJson, errorJson, graphqlErrorJson } from './graphql-error.ts'
import { boundedSelections, DOCUMENT_TOKENS_MAX } from './limits.ts'

export interface Query {
  readonly query: string
  readonly variables: Readonly<Record<string, unknown>> | null
  readonly operationName: string | null
}

export interface QueryAnswer {
  readonly data?: unknown
  readonly errors?: readonly ErrorJson[]
}

/** For all of its fields. */
const QUERY_MS_MAX = 20_000
const ERRORS_MAX = 10
/** What it measures needs no schema, so it goes first. */
const boundRules = [boundedSelections]
const rules = [...specifiedRules, NoSchemaIntrospectionCustomRule]

/**
 * The answer to a query. Nothing is thrown: errors are in the answer. Bounds of the document come before rules that
 * compare each field with others.
 */
export async function answerQuery(
  schema: GraphQLSchema,
  { query, variables, operationName }: Query,
  newCall: (ends: Pick<WebCallInit, 'signal' | 'giveUp'>) => WebCall,
  around: { readonly signal: AbortSignal; readonly log: Log },
): Promise<QueryAnswer> {
  const { log } = around
  let document: DocumentNode
  try {
    document = parse(query, { maxTokens: DOCUMENT_TOKENS_MAX, noLocation: true })
  } catch (error) {
    return refused([error as GraphQLError], log)
  }
  const tooLarge = validate(schema, document, boundRules, { maxErrors: 1 })
  if (tooLarge.length > 0) return refused(tooLarge, log)
  const invalid = validate(schema, document, rules, { maxErrors: ERRORS_MAX })
  if (invalid.length > 0) return refused(invalid, log)
  using deadline = startDeadline('the query', QUERY_MS_MAX, { signal: around.signal })
  const ending = new AbortController()
  const signal = AbortSignal.any([deadline.signal, ending.signal])
  try {
    const call = newCall({ signal, giveUp: (reason) => ending.abort(reason) })
    // It knows nothing of the signal: it would make an error of every field that is under way.
    const running = execute({
      ...{ schema, document, contextValue: call, operationName, variableValues: variables },
    })
    const { data, errors } = await unlessAborted(Promise.resolve(running), signal)
    if (errors === undefined) return { data }
    const shown = errors.slice(0, ERRORS_MAX).map((error) => graphqlErrorJson(error, log))
    return data === undefined ? { errors: shown } : { data, errors: shown }
  } catch (error) {
    const reason: unknown = signal.aborted ? signal.reason : error
    return { errors: [errorJson(reason, log)] }
  }
}

const refused = (errors: readonly GraphQLError[], log: Log): QueryAnswer => ({
  errors: errors.slice(0, ERRORS_MAX).map((error) => graphqlErrorJson(error, log)),
})
