import type { TObject, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { refuse } from './errors.ts'

export type RawQuery = Readonly<Record<string, string | readonly string[] | undefined>>

/**
 * A query by its schema: integers, booleans as Go's ParseBool reads them, lists repeated or with
 * commas. Names that nobody knows are ignored, an empty value is absent.
 *
 * @throws FlapsError flaps.argument_bad
 */
export function readQuery(schema: TObject, raw: RawQuery): unknown {
  const query: Record<string, unknown> = {}
  for (const [name, wanted] of Object.entries(schema.properties)) {
    const given = raw[name]
    if (given === undefined || given === '') continue
    query[name] = readValue(name, wanted, given)
  }
  if (Value.Check(schema, query)) return query
  const [first] = Value.Errors(schema, query)
  const where = first?.instancePath.slice(1) || missingOf(first) || 'query'
  throw refuse('flaps.argument_bad', `invalid_argument: invalid ${where}: ${first?.message}`)
}

function missingOf(first: { keyword: string; params: unknown } | undefined): string | undefined {
  if (first?.keyword !== 'required') return undefined
  return (first.params as { requiredProperties: string[] }).requiredProperties[0]
}

function readValue(name: string, schema: TSchema, given: string | readonly string[]): unknown {
  const type = 'type' in schema ? schema.type : undefined
  const texts = typeof given === 'string' ? [given] : given
  if (type === 'array') return texts.flatMap((text) => text.split(',')).filter((one) => one !== '')
  const text = texts[0] ?? ''
  if (type === 'integer') return readInteger(name, text)
  if (type === 'boolean') return readBoolean(name, text)
  return text
}

function readInteger(name: string, text: string): number {
  if (/^[+-]?\d{1,15}$/.test(text)) return Number(text)
  throw refuse('flaps.argument_bad', `invalid_argument: invalid ${name}: '${text}' is no integer`)
}

function readBoolean(name: string, text: string): boolean {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false
  throw refuse('flaps.argument_bad', `invalid_argument: invalid ${name}: '${text}' is no boolean`)
}

/** Values of repeatable `metadata.<key>=<value>` filters, by key. */
export function metadataFilters(raw: RawQuery): Readonly<Record<string, string>> {
  const prefix = 'metadata.'
  const filters: Record<string, string> = {}
  for (const [name, value] of Object.entries(raw)) {
    const text = typeof value === 'string' ? value : value?.[0]
    if (name.startsWith(prefix) && text !== undefined) filters[name.slice(prefix.length)] = text
  }
  return filters
}
