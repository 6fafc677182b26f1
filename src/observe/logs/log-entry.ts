import { ObserveError } from '../errors.ts'

/**
 * A line of the log, with the names that log shippers of Fly.io's platform read. On the wire it is this,
 * as JSON, on the subject `logs.<app>.<region>.<machine>`.
 */
export interface LogEntry {
  readonly event: { readonly provider: LogProvider }
  readonly fly: {
    readonly app: { readonly name: string; readonly instance: string }
    readonly region: string
  }
  /** The host that the machine is on. */
  readonly host: string
  readonly log: { readonly level: LogLevel }
  readonly message: string
  /** RFC 3339 with nanoseconds, UTC. */
  readonly timestamp: string
}

/** app: the machine's own output. runner: what the platform does with the machine. proxy: its requests. */
export type LogProvider = 'app' | 'runner' | 'proxy'
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Where a line comes from. */
export interface LogSource {
  readonly app: string
  readonly region: string
  readonly machine: string
  readonly host: string
}

const TOKEN = /^[A-Za-z0-9_-]{1,63}$/

/** @throws ObserveError observe.entry_bad: a name that is no token of a subject */
export function subjectOf({ app, region, machine }: Omit<LogSource, 'host'>): string {
  for (const token of [app, region, machine]) {
    if (TOKEN.test(token)) continue
    throw new ObserveError('observe.entry_bad', {
      what: 'not a name that a subject can have',
      values: { name: token },
    })
  }
  return `logs.${app}.${region}.${machine}`
}

/** What a reader listens to: an app, or a part of it. */
export const filterOf = (app: string, { region = '*', machine = '*' }: LogFilter): string =>
  `logs.${app}.${region || '*'}.${machine || '*'}`

export interface LogFilter {
  readonly region?: string
  readonly machine?: string
}

/** @throws ObserveError observe.entry_bad */
export function parseEntry(bytes: Uint8Array): LogEntry {
  try {
    const entry = JSON.parse(new TextDecoder().decode(bytes)) as LogEntry
    if (typeof entry.message === 'string' && typeof entry.fly?.app?.instance === 'string') {
      return entry
    }
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
  }
  throw new ObserveError('observe.entry_bad', { what: 'what stands in the log is no entry' })
}
