import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'

const PROBLEMS_MAX = 20
const VALUE_CHARS_MAX = 60

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
  const problems: string[] = []
  for (const { keyword, instancePath, params, message } of Value.Errors(schema, config)) {
    if (keyword === 'boolean') continue // the same key comes again as additionalProperties
    const { path, what } = sentence(schema, config, keyword, instancePath, params, message)
    problems.push(`${where(path)}: ${readable(path)}: ${what}`)
    if (problems.length === PROBLEMS_MAX) break
  }
  return problems
}

function sentence(
  schema: TSchema,
  config: unknown,
  keyword: string,
  path: string,
  params: unknown,
  message: string,
): { path: string; what: string } {
  if (keyword === 'additionalProperties') {
    const [key = ''] = (params as { additionalProperties: string[] }).additionalProperties
    const known = keysAt(schema, path)
    const near = nearest(key, known)
    const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean '${near}'?`
    return { path: `${path}/${key}`, what: `unknown key; ${hint}` }
  }
  if (keyword === 'required') {
    const keys = (params as { requiredProperties: string[] }).requiredProperties
    return { path, what: `lacks ${keys.map((key) => `'${key}'`).join(', ')}` }
  }
  const found = JSON.stringify(Value.Pointer.Get(config, path)) ?? 'nothing'
  const short = found.length > VALUE_CHARS_MAX ? `${found.slice(0, VALUE_CHARS_MAX)}…` : found
  return { path, what: `${message}, found ${short}` }
}

/** `/regions/0/hosts` as people write it: `regions[0].hosts`. */
const readable = (path: string) =>
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
