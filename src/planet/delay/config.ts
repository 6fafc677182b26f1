import { readFileSync } from 'node:fs'
import { type Static, type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { DelayErrorCode } from './errors.ts'
import { DelayError } from './errors.ts'

const strict = { additionalProperties: false }

/** A unix socket's address holds 107 bytes and a NUL. Source: unix(7). */
export const SOCKET_PATH_BYTES_MAX = 107
const LINKS_MAX = 256
const QUEUE_BYTES_DEFAULT = 16 << 20
const QUEUE_FRAMES_DEFAULT = 8192

export const DelayUs = Type.Integer({ minimum: 0, maximum: 10_000_000, description: 'one way' })
export const JitterUs = Type.Integer({
  minimum: 0,
  maximum: 10_000_000,
  description: 'each frame waits up to this much longer, uniformly; never overtakes another',
})

const EndSchema = Type.Object(
  {
    netns: Type.String({ pattern: '^/', description: 'file that pins a network namespace' }),
    // What the kernel takes as the name of an interface, less what shells make trouble of.
    tap: Type.String({ pattern: '^[\\w.@+-]{1,15}$', description: 'created when absent' }),
  },
  strict,
)

/** All delayed links of one planet: what the delay process is started with. */
export const DelayConfigSchema = Type.Object(
  {
    links: Type.Array(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 100 }),
          delayUs: DelayUs,
          jitterUs: Type.Optional(JitterUs),
          ends: Type.Tuple([EndSchema, EndSchema]),
        },
        strict,
      ),
      { minItems: 1, maxItems: LINKS_MAX },
    ),
    queueBytes: Type.Optional(
      Type.Integer({
        minimum: 1 << 18,
        maximum: 1 << 28,
        description: `frames held per direction; default ${QUEUE_BYTES_DEFAULT}`,
      }),
    ),
    queueFrames: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1 << 20,
        description: `frames held per direction; default ${QUEUE_FRAMES_DEFAULT}`,
      }),
    ),
    controlSocket: Type.Optional(Type.String({ pattern: '^/', description: 'unix socket' })),
  },
  strict,
)

export type DelayConfig = Static<typeof DelayConfigSchema>
export type DelayLink = DelayConfig['links'][number]

export interface QueueLimits {
  readonly bytesMax: number
  readonly framesMax: number
}

export function queueLimits({ queueBytes, queueFrames }: DelayConfig): QueueLimits {
  return {
    bytesMax: queueBytes ?? QUEUE_BYTES_DEFAULT,
    framesMax: queueFrames ?? QUEUE_FRAMES_DEFAULT,
  }
}

/** @throws DelayError delay.config_bad: the file cannot be read, or what parseDelayConfig says. */
export function readDelayConfig(file: string): DelayConfig {
  try {
    return parseDelayConfig(JSON.parse(readFileSync(file, 'utf8')))
  } catch (error) {
    if (error instanceof DelayError) throw error
    throw new DelayError('delay.config_bad', {
      what: 'cannot read the configuration',
      values: { file, cause: error },
      cause: error,
    })
  }
}

/** @throws DelayError delay.config_bad, with every problem found. */
export function parseDelayConfig(value: unknown): DelayConfig {
  const config = checkSchema(DelayConfigSchema, value, 'delay.config_bad')
  const problems = [
    ...repeated(config.links.map(({ name }) => name)).map((name) => `two links named ${name}`),
    ...repeated(config.links.flatMap(({ ends }) => ends.map(endName))).map(
      (end) => `${end} is the end of two links`,
    ),
  ]
  if (Buffer.byteLength(config.controlSocket ?? '') > SOCKET_PATH_BYTES_MAX) {
    problems.push(`/controlSocket is longer than ${SOCKET_PATH_BYTES_MAX} bytes`)
  }
  if (problems.length > 0) throw contradiction('delay.config_bad', problems)
  return config
}

/** `value` as what `schema` describes. @throws DelayError with `code`. */
export function checkSchema<Schema extends TSchema>(
  schema: Schema,
  value: unknown,
  code: DelayErrorCode,
): Static<Schema> {
  if (Value.Check(schema, value)) return value
  const problems = Value.Errors(schema, value)
    .filter(({ keyword }) => keyword !== 'additionalProperties') // each comes by its own path, too
    .map(({ keyword, instancePath, message }) =>
      keyword === 'boolean' ? `${instancePath} is not known` : `${instancePath || '/'} ${message}`,
    )
  throw contradiction(code, problems)
}

const PROBLEMS_SHOWN_MAX = 10

const contradiction = (code: DelayErrorCode, problems: readonly string[]) =>
  new DelayError(code, {
    what: code === 'delay.config_bad' ? 'the configuration is wrong' : 'the request is wrong',
    values: { problems: problems.slice(0, PROBLEMS_SHOWN_MAX).join('; ') },
  })

const endName = ({ netns, tap }: DelayLink['ends'][number]) => `${tap} in ${netns}`

const repeated = (names: readonly string[]) =>
  [...new Set(names)].filter((name) => names.indexOf(name) !== names.lastIndexOf(name))
