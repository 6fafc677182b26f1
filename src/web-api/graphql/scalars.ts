import { type GraphQLSchema, isScalarType, Kind, valueFromASTUntyped } from 'graphql'
import type { WebCall } from '../web-call.ts'

export const scalarsSdl = `
  "Any JSON: objects arrive and leave as they are."
  scalar JSON
  "A whole number as a text: it may be larger than JSON's numbers are exact."
  scalar BigInt
  "RFC 3339, in UTC."
  scalar ISO8601DateTime
`

/** Gives the scalars of the schema their forms. */
export function addScalars(schema: GraphQLSchema): void {
  scalar(schema, 'JSON', (value) => value)
  scalar(schema, 'BigInt', (value) => BigInt(value as number).toString())
  scalar(schema, 'ISO8601DateTime', (value) =>
    typeof value === 'number' ? `${new Date(value).toISOString().slice(0, 19)}Z` : String(value),
  )
}

function scalar(schema: GraphQLSchema, name: string, print: (value: unknown) => unknown): void {
  const type = schema.getType(name)
  if (!isScalarType(type)) throw new Error(`the schema has no scalar ${name}`)
  type.coerceOutputValue = print
  type.coerceInputValue = (value: unknown) => value
  type.coerceInputLiteral = (node) =>
    node.kind === Kind.INT ? node.value : valueFromASTUntyped(node)
}

const JSON_BYTES_OF_UNIT = 250

/** Free JSON of an answer, counted by its size. */
export function freeJson<T>(value: T, call: WebCall): T {
  if (typeof value === 'object' && value !== null) {
    call.spend(Math.ceil(JSON.stringify(value).length / JSON_BYTES_OF_UNIT))
  }
  return value
}
