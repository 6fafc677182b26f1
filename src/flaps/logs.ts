import { errorCode } from '#base'
import type { LogReader } from '#observe'
import { refuse } from './errors.ts'

/** What machines wrote. Owner: #observe. */
export interface Logs {
  /** @throws FlapsError flaps.argument_bad, flaps.logs_unreached */
  read(app: string, options: LogsQuery): Promise<LogsPage>
}

export interface LogsQuery {
  /** When the app was made, since the Unix epoch: the log is kept by names, and an older app of that name is another's. */
  readonly sinceMs: number
  readonly from: string | undefined
  readonly machine: string | undefined
  readonly region: string | undefined
  readonly holdMs: number
  readonly signal: AbortSignal
}

export interface LogsPage {
  readonly lines: readonly LogLine[]
  readonly next: string
}

export interface LogLine {
  readonly id: string
  /** RFC 3339 with nanoseconds. */
  readonly timestamp: string
  readonly message: string
  readonly level: string
  readonly machine: string
  readonly region: string
  readonly provider: string
}

/** The log as NATS keeps it. */
export const keptLogs = (reader: Pick<LogReader, 'read'>): Logs => ({
  async read(app, { sinceMs, from, machine, region, holdMs, signal }) {
    try {
      const { entries, next } = await reader.read(app, {
        ...{ from, holdMs, signal },
        ...(machine === undefined ? {} : { machine: tokenOf('instance', machine) }),
        ...(region === undefined ? {} : { region: tokenOf('region', region) }),
      })
      const own = entries.filter(({ entry }) => Date.parse(entry.timestamp) >= sinceMs)
      const lines = own.map(({ place, entry }) => ({
        id: place,
        timestamp: entry.timestamp,
        message: entry.message,
        level: entry.log.level,
        machine: entry.fly.app.instance,
        region: entry.fly.region,
        provider: entry.event.provider,
      }))
      return { lines, next }
    } catch (error) {
      if (errorCode(error) === 'observe.place_bad') {
        throw refuse('flaps.argument_bad', 'invalid_argument: invalid next_token', error)
      }
      if (errorCode(error) === 'observe.unavailable') {
        throw refuse('flaps.logs_unreached', 'unavailable: the log cannot be read now', error)
      }
      throw error
    }
  },
})

/** It becomes a token of a subject, in which `*` and `>` would mean others' lines. */
function tokenOf(name: string, value: string): string {
  if (/^[A-Za-z0-9_-]{1,63}$/.test(value)) return value
  throw refuse('flaps.argument_bad', `invalid_argument: invalid ${name}`)
}
