/** The text of a configuration file and where its keys stand in it. */
import { parse as parseToml, TomlError } from 'smol-toml'
import { isMap, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { lineOf } from '#base'
import { AppConfigError } from './errors.ts'
import { isObject, type JsonObject } from './json-object.ts'

export type Format = 'toml' | 'json' | 'yaml'

export interface Source {
  readonly file: string
  readonly written: JsonObject
  /** Line of a key by its JSON Pointer (RFC 6901), or of what holds it; undefined when unknown. */
  lineOf(path: string): number | undefined
}

/** `.json` and `.yaml` exactly; everything else, `.yml` too, is TOML: as flyctl decides. */
export function formatOf(file: string): Format {
  if (file.endsWith('.json')) return 'json'
  return file.endsWith('.yaml') ? 'yaml' : 'toml'
}

/** @throws AppConfigError app_config.unparsable, with line and column */
export function parseSource(file: string, text: string, format = formatOf(file)): Source {
  return format === 'toml' ? tomlSource(file, text) : yamlSource(file, text, format)
}

function tomlSource(file: string, text: string): Source {
  let written: unknown
  try {
    written = structuredClone(parseToml(text)) // its own objects have no prototype
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause
    const [first = ''] = cause.message.replace(/^Invalid TOML document: /, '').split('\n')
    throw unparsable('TOML', `${file}:${cause.line}:${cause.column}: ${first}`, cause)
  }
  return {
    file,
    written: written as JsonObject,
    lineOf: (path) => Number(lineOf(text, path).slice(1)) || undefined,
  }
}

/** JSON is read as YAML, which holds it: so its keys have lines, too. */
function yamlSource(file: string, text: string, format: 'json' | 'yaml'): Source {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    ...(format === 'json' ? { schema: 'json' } : {}),
  })
  const [error] = document.errors
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0])
    throw unparsable(format.toUpperCase(), `${file}:${line}:${col}: ${error.message}`, error)
  }
  const written: unknown = document.toJS({ maxAliasCount: ALIASES_MAX }) ?? {}
  if (!isObject(written)) throw unparsable('a table', `${file}: it holds no keys`)
  return {
    file,
    written,
    lineOf(path) {
      const offset = offsetOf(document.contents, path.split('/').slice(1))
      return offset === undefined ? undefined : lines.linePos(offset).line
    },
  }
}

const ALIASES_MAX = 100

function offsetOf(root: Node | null, steps: readonly string[]): number | undefined {
  let node: unknown = root
  let offset: number | undefined
  for (const step of steps) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => String(key) === step)
      if (pair === undefined) return offset
      offset = (pair.key as Node).range?.[0] ?? offset
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(step)]
      offset = (node as Node | undefined)?.range?.[0] ?? offset
    }
  }
  return offset
}

const unparsable = (form: string, why: string, cause?: unknown) =>
  new AppConfigError('app_config.unparsable', {
    what: `not ${form}: ${why}`,
    fix: 'mend that line',
    cause,
  })
