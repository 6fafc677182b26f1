import type { TSchema } from 'typebox'
import { schemaValue } from './schema-value.ts'

const PROBLEMS_MAX = 20
const VALUE_CHARS_MAX = 60

export interface ConfigProblem {
  /** JSON Pointer (RFC 6901) of the key: `/regions/0/hosts`. */
  readonly path: string
  readonly what: string
  readonly isUnknownKey: boolean
}

/**
 * What is wrong with a configuration, a sentence each: `FILE:LINE: key: what; found VALUE`.
 *
 * @param where place of a key, given its path (`/regions/0/hosts`).
 */
export function describeProblems(
  schema: TSchema,
  config: unknown,
  where: (path: string) => string,
): string[] {
  return findProblems(schema, config).map(
    ({ path, what }) => `${where(path)}: ${readableKey(path)}: ${what}`,
  )
}

/** The first of what a schema refuses in a configuration, with hints at what was meant. */
export function findProblems(schema: TSchema, config: unknown): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  for (const { keyword, instancePath, params, message } of schemaValue().Errors(schema, config)) {
    if (keyword === 'boolean') continue // the same key comes again as additionalProperties
    if (keyword === 'additionalProperties') {
      const { additionalProperties } = params as { additionalProperties: readonly string[] }
      for (const key of additionalProperties) problems.push(unknownKey(schema, instancePath, key))
    } else {
      problems.push(mismatch(config, keyword, instancePath, params, message))
    }
    if (problems.length >= PROBLEMS_MAX) break
  }
  return problems.slice(0, PROBLEMS_MAX)
}

function unknownKey(schema: TSchema, path: string, key: string): ConfigProblem {
  const known = keysAt(schema, path)
  const near = nearest(key, known)
  const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean '${near}'?`
  return { path: `${path}/${key}`, what: `unknown key; ${hint}`, isUnknownKey: true }
}

function mismatch(
  config: unknown,
  keyword: string,
  path: string,
  params: unknown,
  message: string,
): ConfigProblem {
  if (keyword === 'required') {
    const keys = (params as { requiredProperties: string[] }).requiredProperties
    const what = `lacks ${keys.map((key) => `'${key}'`).join(', ')}`
    return { path, what, isUnknownKey: false }
  }
  const found = JSON.stringify(schemaValue().Pointer.Get(config, path)) ?? 'nothing'
  const short = found.length > VALUE_CHARS_MAX ? `${found.slice(0, VALUE_CHARS_MAX)}…` : found
  return { path, what: `${message}, found ${short}`, isUnknownKey: false }
}

/** `/regions/0/hosts` as people write it: `regions[0].hosts`. */
export const readableKey = (path: string) =>
  path
    .slice(1)
    .replaceAll(/\/(\d+)/g, '[$1]')
    .replaceAll('/', '.') || 'the whole'

/** Keys that the schema knows in the object at `path`. */
function keysAt(schema: TSchema, path: string): string[] {
  let at: unknown = schema
  for (const step of path.split('/').slice(1)) {
    if (typeof at !== 'object' || at === null) return []
    if ('properties' in at) at = (at.properties as Record<string, unknown>)[step]
    else if ('items' in at) at = Array.isArray(at.items) ? at.items[Number(step)] : at.items
    else return []
  }
  return typeof at === 'object' && at !== null && 'properties' in at
    ? Object.keys(at.properties as object)
    : []
}

/** The candidate with the fewest edits, when they are few enough for a typing error. */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  const [best] = candidates
    .map((candidate) => ({ candidate, edits: editDistance(text, candidate) }))
    .sort((a, b) => a.edits - b.edits)
  return best !== undefined && best.edits <= Math.max(1, text.length / 3)
    ? best.candidate
    : undefined
}

/** Levenshtein distance, two rows at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/**
 * `:LINE` of a key in TOML source, found by walking its tables; empty when it cannot be told (inline
 * tables, dotted keys): a wrong line is worse than none.
 */
export function lineOf(source: string, path: string): string {
  const steps = path.split('/').slice(1)
  const lines = source.split('\n')
  let table: string[] = []
  const counts = new Map<string, number>()
  let parent = ''
  for (const [index, line] of lines.entries()) {
    const header = /^\s*(\[\[?)\s*([\w.-]+)\s*\]\]?/.exec(line)
    if (header !== null) {
      table = tablePath(header[2] ?? '', header[1] === '[[', counts)
      if (table.join('/') === steps.join('/')) return `:${index + 1}`
      if (steps.join('/').startsWith(table.join('/'))) parent = `:${index + 1}`
      continue
    }
    const key = /^\s*([\w-]+)\s*=/.exec(line)?.[1]
    if (key === undefined) continue
    const full = [...table, key].join('/')
    if (full === steps.join('/') || steps.join('/').startsWith(`${full}/`)) return `:${index + 1}`
  }
  return parent
}

/** Path of a table header, with the index of each list of tables that it lies in. */
function tablePath(name: string, isList: boolean, counts: Map<string, number>): string[] {
  const path: string[] = []
  const parts = name.split('.')
  for (const [index, part] of parts.entries()) {
    path.push(part)
    const key = path.join('/')
    const isLast = index === parts.length - 1
    if (isList && isLast) counts.set(key, (counts.get(key) ?? -1) + 1)
    const count = counts.get(key)
    if (count !== undefined) path.push(String(count))
  }
  return path
}
