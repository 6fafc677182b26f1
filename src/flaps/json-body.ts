import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { refuse } from './errors.ts'

/** Go's names of JSON types, as the documented errors have them. */
const goKinds: Readonly<Record<string, string>> = {
  string: 'string',
  integer: 'int',
  number: 'float64',
  boolean: 'bool',
  array: '[]interface {}',
  object: 'struct',
}

/**
 * A request's body as its schema has it. Unknown fields stay in and are ignored, so that the answer
 * of a GET can be sent back. In calls where null has no meaning of its own it counts as absent, for
 * clients write null for what is not set.
 *
 * @param parsed undefined: there was no body.
 * @throws FlapsError flaps.body_bad
 */
export function readBody(
  schema: TSchema,
  parsed: unknown,
  options: { call: string; nullIs: 'absent' | 'value' },
): unknown {
  const given = parsed === undefined || parsed === null ? {} : parsed
  const body = options.nullIs === 'absent' ? withoutNulls(given) : given
  if (Value.Check(schema, body)) return body
  throw refuse('flaps.body_bad', describe(schema, body, options.call))
}

/** Only at the top: what is deeper belongs to whoever reads it. */
function withoutNulls(given: unknown): unknown {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return given
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null))
}

function describe(schema: TSchema, body: unknown, call: string): string {
  const [first] = Value.Errors(schema, body)
  if (first === undefined) return 'json: cannot unmarshal body'
  const { keyword, instancePath, params, message } = first
  if (keyword === 'required') {
    const [key] = (params as { requiredProperties: string[] }).requiredProperties
    return `invalid_argument: ${[...pathOf(instancePath), key].join('.')} is required`
  }
  const value = Value.Pointer.Get(body, instancePath)
  const wanted = keyword === 'type' ? String((params as { type: unknown }).type) : undefined
  const path = pathOf(instancePath).join('.')
  if (wanted === undefined) return `invalid_argument: invalid ${path || 'body'}: ${message}`
  const into = path === '' ? 'Go value' : `Go struct field ${call}.${path}`
  return path === ''
    ? `json: cannot unmarshal ${kindOf(value)} into ${into} of type main.${call}`
    : `json: cannot unmarshal ${kindOf(value)} into ${into} of type ${goKinds[wanted] ?? wanted}`
}

const pathOf = (pointer: string) => pointer.split('/').slice(1)

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  if (value === null) return 'null'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

/**
 * Text to JSON, whatever the Content-Type says: scripts send none, or a form's.
 *
 * @throws FlapsError flaps.body_bad
 */
export function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined
  try {
    return JSON.parse(text, withoutPrototype)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw refuse('flaps.body_bad', `invalid JSON: ${why.slice(0, WHY_CHARS_MAX)}`, cause)
  }
}

const WHY_CHARS_MAX = 200

/** `__proto__` in a body must name no prototype when objects are merged later. */
function withoutPrototype(key: string, value: unknown): unknown {
  return key === '__proto__' ? undefined : value
}
