import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino'
import { prettyFactory } from 'pino-pretty'
import { BaseError } from './base-error.ts'
import { GodwitError } from './errors.ts'

export type Log = Logger
export type LogLevel = (typeof LEVELS)[number]

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** Values under these keys never reach a log, at the top or one level down. */
const SECRET_KEYS = ['authorization', 'cookie', 'password', 'privateKey', 'secret', 'token']

export interface LogOptions {
  /** Which part of the platform speaks: `flyd`, `proxy`, ... */
  readonly part: string
  /** @default GODWIT_LOG, else info */
  readonly level?: LogLevel
  /** `json`: a line of JSON each, for daemons. `text`: for people. @default text on a terminal */
  readonly format?: 'json' | 'text'
  /** @default standard error: standard output is for data */
  readonly destination?: DestinationStream
  /** Bound to every line: host, region, ... */
  readonly bindings?: Readonly<Record<string, unknown>>
}

/**
 * The log of a process or of one part in it. A line has `level` by name, `time` (ISO 8601, UTC),
 * `part`, the bindings, `msg`, and `err` with code, what, values and fix for our own errors.
 *
 * @throws BaseError base.value_bad: GODWIT_LOG is no level.
 */
export function createLog(options: LogOptions): Log {
  const level = options.level ?? parseLevel(process.env['GODWIT_LOG'] ?? 'info')
  const isText = (options.format ?? (process.stderr.isTTY ? 'text' : 'json')) === 'text'
  const destination = options.destination ?? pino.destination({ dest: 2, sync: true })
  const shown = isText ? prettyStream(destination, options.destination === undefined) : destination
  return pino(
    {
      level,
      base: { part: options.part, ...options.bindings },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError, error: serializeError },
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), censor: '[secret]' },
    },
    shown,
  )
}

function parseLevel(text: string): LogLevel {
  const level = LEVELS.find((known) => known === text)
  if (level !== undefined) return level
  throw new BaseError('base.value_bad', {
    what: 'not a log level',
    values: { GODWIT_LOG: text },
    fix: `use one of ${LEVELS.join(', ')}`,
  })
}

/** Formats in this process and at once: what a dying process has said is on the terminal. */
function prettyStream(destination: DestinationStream, isTerminal: boolean): DestinationStream {
  const format = prettyFactory({
    colorize: isTerminal && process.stderr.isTTY === true && !process.env['NO_COLOR'],
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname',
    messageFormat: '{part}: {msg}',
  })
  return { write: (line) => void destination.write(format(line) ?? '') }
}

/** Our errors as their data; others with their stack, for they are bugs. Causes are followed. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  if (!(error instanceof GodwitError)) return stdSerializers.err(error)
  const { cause } = error
  return { ...error.toJSON(), ...(cause === undefined ? {} : { cause: serializeError(cause) }) }
}
