import { MacaroonError, type MacaroonErrorCode } from './errors.ts'
import { JSON_CHARS_MAX } from './limits.ts'
import { wireInteger } from './wire-integer.ts'

/** A JSON value whose integers may be bigints. */
export type ExactJson =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly ExactJson[]
  | { readonly [key: string]: ExactJson }

/**
 * Parses JSON without rounding: an integer that no number holds exactly comes as a bigint.
 * Source: TC39 "JSON.parse source text access".
 *
 * @throws MacaroonError with `code`: no JSON, or more than JSON_CHARS_MAX.
 */
export function parseExactJson(text: string, code: MacaroonErrorCode): ExactJson {
  if (text.length > JSON_CHARS_MAX) {
    throw new MacaroonError(code, {
      what: 'JSON is too long',
      values: { chars: text.length, limit: JSON_CHARS_MAX },
    })
  }
  try {
    return parseWithSource(text, (_key, value, { source }) =>
      typeof value === 'number' && source !== undefined && /^-?\d+$/.test(source)
        ? wireInteger(BigInt(source))
        : value,
    )
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    // Without V8's own words: they quote the text, which may be a token in the wrong place.
    const position = /position (\d+)/.exec(cause.message)?.[1]
    throw new MacaroonError(code, { what: 'this is no JSON', values: { position } })
  }
}

/** The inverse: bigints print as plain numbers, which Go and Ruby read exactly. */
export function printExactJson(value: unknown, indent = 0): string {
  return JSON.stringify(
    value,
    (_key, one: unknown) => (typeof one === 'bigint' ? rawJson(String(one)) : one),
    indent,
  )
}

type SourceReviver = (key: string, value: unknown, context: { source?: string }) => unknown

/** TypeScript's library does not know the reviver's third argument and rawJSON yet. */
const exactJson = JSON as unknown as {
  parse(text: string, reviver: SourceReviver): ExactJson
  rawJSON(text: string): unknown
}
const parseWithSource = (text: string, reviver: SourceReviver) => exactJson.parse(text, reviver)
const rawJson = (text: string) => exactJson.rawJSON(text)
