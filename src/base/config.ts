import { readFileSync } from 'node:fs'
import { parse, TomlError } from 'smol-toml'
import type { Static, TObject } from 'typebox'
import { BaseError } from './base-error.ts'
import { describeProblems, lineOf } from './config-problems.ts'
import { errorCode } from './errors.ts'
import { schemaValue } from './schema-value.ts'

export interface ConfigOptions<Schema extends TObject> {
  /** Every object in it closed (`additionalProperties: false`), so that a typing error is found. */
  readonly schema: Schema
  /** TOML. Absent: the environment and the schema's defaults must do. */
  readonly file?: string
  /**
   * Variables `<prefix>_<KEY>` override the file; a key of a table is `<prefix>_<TABLE>_<KEY>`.
   * Tables that are lists have no variables. Absent: the environment says nothing.
   */
  readonly envPrefix?: string
  /** @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>
}

/**
 * A part's configuration: the file, overridden by the environment, completed by the schema's
 * defaults, checked as a whole. Frozen, all the way down.
 *
 * @throws BaseError base.config_unreadable, or base.config_bad with every problem: where it is (file,
 *   line, key), what was found and what is expected.
 */
export function loadConfig<Schema extends TObject>(options: ConfigOptions<Schema>): Static<Schema> {
  const { schema, file, envPrefix, env = process.env } = options
  const source = file === undefined ? '' : readSource(file)
  const written = file === undefined ? {} : parseToml(file, source)
  const origins = new Map<string, string>()
  if (envPrefix !== undefined) applyEnvironment(schema, written, envPrefix, env, origins)
  const config = schemaValue().Default(schema, written)
  if (!schemaValue().Check(schema, config)) {
    const where = (path: string) =>
      origins.get(path) ?? (file === undefined ? 'configuration' : `${file}${lineOf(source, path)}`)
    throw new BaseError('base.config_bad', {
      what: `the configuration is wrong: ${describeProblems(schema, config, where).join('; ')}`,
      fix: 'mend what is named',
    })
  }
  return deepFreeze(config)
}

function readSource(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new BaseError('base.config_unreadable', {
      what: 'cannot read the configuration',
      values: { file, why: errorCode(cause) },
      fix: 'name a file that exists and that you may read',
      cause,
    })
  }
}

function parseToml(file: string, source: string): Record<string, unknown> {
  try {
    return structuredClone(parse(source)) // its own objects have no prototype
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause
    const [first = cause.message] = cause.message.split('\n')
    throw new BaseError('base.config_bad', {
      what: `not TOML: ${file}:${cause.line}:${cause.column}: ${first.replace(/^Invalid TOML document: /, '')}`,
      fix: 'mend that line',
      cause,
    })
  }
}

/** Walks the schema, not the environment: a variable that no key asks for is somebody else's. */
function applyEnvironment(
  schema: TObject,
  target: Record<string, unknown>,
  prefix: string,
  env: Readonly<Record<string, string | undefined>>,
  origins: Map<string, string>,
  path = '',
): void {
  for (const [key, property] of Object.entries(schema.properties)) {
    const variable = `${prefix}_${key.toUpperCase()}`
    const keyPath = `${path}/${key}`
    if (isObjectSchema(property)) {
      const table = target[key]
      const inner = typeof table === 'object' && table !== null ? table : {}
      const before = origins.size
      applyEnvironment(property, inner as Record<string, unknown>, variable, env, origins, keyPath)
      if (origins.size > before) target[key] = inner
      continue
    }
    const text = env[variable]
    if (text === undefined) continue
    origins.set(keyPath, `environment variable ${variable}`)
    target[key] = coerce(property, text)
  }
}

const isObjectSchema = (schema: unknown): schema is TObject =>
  typeof schema === 'object' && schema !== null && 'properties' in schema

/** A text that is no number or boolean stays one: the check then names it and its variable. */
function coerce(schema: unknown, text: string): unknown {
  const type = typeof schema === 'object' && schema !== null && 'type' in schema ? schema.type : ''
  if ((type === 'number' || type === 'integer') && /^-?\d+(\.\d+)?$/.test(text)) return Number(text)
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  if (type === 'array') return text.split(',').map((item) => item.trim())
  return text
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}
