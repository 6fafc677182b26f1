import type { Static, TObject, TSchema } from 'typebox'
import type { AccessRule } from './access-rule.ts'
import type { Answer } from './answer.ts'
import type { Call } from './call.ts'
import type { LimitKind } from './rate-limits.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/**
 * One call of the API: what it takes, needs and answers. The server, the OpenAPI document and the
 * test of who may do what are all made from this.
 */
export interface EndpointOf<Query, Body> {
  /** operationId of the OpenAPI document. Stands in the audit log for ever: never renamed. */
  readonly id: string
  readonly method: Method
  /** With parameters as `:name`. */
  readonly path: string
  readonly tag: string
  readonly summary: string
  readonly query?: TObject
  readonly body?: TSchema
  /** What null in the body's fields is. @default absent */
  readonly nullIs?: 'absent' | 'value'
  /** By status; null: no body. Errors have one shape and are not listed. */
  readonly answers: Readonly<Record<number, TSchema | null>>
  readonly access: AccessRule
  readonly limit: LimitKind
  /** A request that the call takes, for the document and for tests. */
  readonly example?: { readonly query?: Readonly<Record<string, string>>; readonly body?: unknown }
  handle(call: Call<Query, Body>): Promise<Answer>
}

export type Endpoint = EndpointOf<unknown, unknown>

/** Gives the handler the types that its schemas say. */
export function endpoint<
  const Q extends TObject | undefined = undefined,
  const B extends TSchema | undefined = undefined,
>(
  definition: Omit<EndpointOf<StaticOf<Q>, StaticOf<B>>, 'query' | 'body'> & {
    readonly query?: Q
    readonly body?: B
  },
): Endpoint {
  return definition as Endpoint
}

type StaticOf<Schema> = Schema extends TSchema ? Static<Schema> : Record<string, never>
