import type { DatabaseSync } from 'node:sqlite'
import type { Accounts } from '#accounts'
import { type Backoff, backoffMs, type Clock, type Log, type Random, startDeadline } from '#base'
import {
  APP_TABLES,
  type AppRow,
  type AppRows,
  appOfRow,
  deleteStatement,
  keyOf,
  putStatement,
  type Statement,
  wantedAppRows,
} from './app-rows.ts'
import { certificateChanges, type EdgeSeal } from './certificate-rows.ts'

export interface AppPublisherOptions {
  readonly accounts: Accounts
  /** A replica with the platform's schema. Only read. */
  readonly database: DatabaseSync
  /** Writes to it, by the corrosion agent of this host. */
  readonly write: (statements: readonly Statement[], signal: AbortSignal) => Promise<unknown>
  readonly hostId: string
  /** Absent: this gateway leaves the certificates that people brought to others. */
  readonly edgeSeal?: EdgeSeal | undefined
  /** A difference that another gateway made is its own to mend, unless it does not for so long. @default 5,000 */
  readonly adoptAfterMs?: number
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

type Broken = { readonly app: string } | { readonly hostname: string }

const FIXES: Readonly<Record<string, string>> = {
  app: 'an app cannot be read, and other hosts keep what they know of it; restore the accounts from a backup, or destroy the app',
  hostname:
    'the key of a certificate that somebody brought cannot be opened, and edges keep what they have; put the missing key back into the key ring, or bring the certificate again: godwit certs import',
}

/** Accounts are asked so often whether anything changed; another gateway may have done it. */
const LOOK_MS = 250
/** What nobody announced, such as rows that were lost with a replica's file, is found so often. */
const COMPARE_MS = 60_000
const ADOPT_MS = 5_000
const STATEMENTS_MAX = 500
const WRITE_MS_MAX = 30_000
const BACKOFF: Backoff = { baseMs: 200, capMs: 10_000 }

/**
 * Tells the other hosts of apps and their addresses, as accounts have them: the proxies and the name servers live on
 * these rows. The gateway that made a change writes it at once; any other one when nobody has for a while. A replica
 * that is away costs nothing but that its readers see older rows.
 */
export class AppPublisher implements AsyncDisposable {
  readonly #options: AppPublisherOptions
  readonly #stopping = new AbortController()
  readonly #loop: Promise<void>
  /** Since when each difference has been there, by key. */
  #differences = new Map<string, number>()
  #sequence = -1
  #comparedAtMs = Number.NEGATIVE_INFINITY
  #hasChanged = false
  #wake: (() => void) | undefined
  /** What was wrong with what cannot be told, when it last was said. */
  #broken: ReadonlyMap<string, string> = new Map()
  /** Figures to export. */
  readonly counters = { statements: 0, failures: 0 }

  constructor(options: AppPublisherOptions) {
    this.#options = options
    this.#loop = this.#run()
  }

  /** This gateway changed an app or its addresses. */
  changed(): void {
    this.#hasChanged = true
    this.#wake?.()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the publisher is closed'))
    this.#wake?.()
    await this.#loop
  }

  async #run(): Promise<void> {
    const { clock, random, log } = this.#options
    const { signal } = this.#stopping
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.#look()
        failures = 0
        await this.#pause(LOOK_MS)
      } catch (err) {
        if (signal.aborted) return
        this.counters.failures += 1
        this.#comparedAtMs = Number.NEGATIVE_INFINITY
        if (failures === 0) log.warn({ err }, 'apps are not told to other hosts; it is tried again')
        await clock.sleep(backoffMs(failures, BACKOFF, random), signal).catch(() => undefined)
        failures += 1
      }
    }
  }

  /** Compares when anything may be different, and writes what is this gateway's to write. */
  async #look(): Promise<void> {
    const { accounts, clock, adoptAfterMs = ADOPT_MS } = this.#options
    const nowMs = clock.monotonicMs()
    const sequence = accounts.audit({ limit: 1 })[0]?.sequence ?? 0
    const isDue = nowMs - this.#comparedAtMs >= COMPARE_MS || this.#differences.size > 0
    if (!this.#hasChanged && !isDue && sequence === this.#sequence) return
    const isOwn = this.#hasChanged
    this.#hasChanged = false
    const found = this.#compare()
    this.#sequence = sequence
    this.#comparedAtMs = nowMs
    const known = this.#differences
    this.#differences = new Map()
    const statements: Statement[] = []
    for (const [key, statement] of found) {
      const sinceMs = known.get(key) ?? nowMs
      if (isOwn || nowMs - sinceMs >= adoptAfterMs) statements.push(statement)
      else this.#differences.set(key, sinceMs)
    }
    try {
      await this.#write(statements)
    } catch (error) {
      this.#hasChanged ||= isOwn
      throw error
    }
  }

  #compare(): Map<string, Statement> {
    const { accounts, database, hostId } = this.#options
    const broken = new Map<string, string>()
    const { rows: wanted, broken: apps } = wantedAppRows(accounts, (app, error) =>
      this.#tellBroken(broken, { app }, error),
    )
    const stored = storedAppRows(database)
    const found = new Map<string, Statement>()
    for (const [key, row] of wanted) {
      const there = stored.get(key)
      if (there === undefined || there.cells.join('\0') !== row.cells.join('\0')) {
        found.set(key, putStatement(row, hostId))
      }
    }
    for (const [key, row] of stored) {
      if (wanted.has(key) || apps.has(appOfRow(row) ?? '')) continue
      found.set(key, deleteStatement(row))
    }
    const certificates = certificateChanges({
      ...this.#options,
      onBroken: (hostname, error) => this.#tellBroken(broken, { hostname }, error),
    })
    for (const [key, statement] of certificates) found.set(key, statement)
    this.#broken = broken
    return found
  }

  /** Once for each reason: it is looked at again and again. */
  #tellBroken(broken: Map<string, string>, what: Broken, err: unknown): void {
    const [[kind, name] = ['', '']] = Object.entries(what)
    const key = `${kind} ${name}`
    broken.set(key, String(err))
    if (this.#broken.get(key) !== String(err))
      this.#options.log.error({ err, ...what }, FIXES[kind])
  }

  async #write(statements: readonly Statement[]): Promise<void> {
    const { clock, write } = this.#options
    for (let at = 0; at < statements.length; at += STATEMENTS_MAX) {
      using deadline = startDeadline('writing the rows of apps', WRITE_MS_MAX, {
        signal: this.#stopping.signal,
        clock,
      })
      const some = statements.slice(at, at + STATEMENTS_MAX)
      await write(some, deadline.signal)
      this.counters.statements += some.length
    }
  }

  /** Until it is time to look again, or something changed. */
  #pause(ms: number): Promise<void> {
    if (this.#hasChanged || this.#stopping.signal.aborted) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = this.#options.clock.setTimer(resolve, ms)
    this.#wake = resolve
    return promise.finally(() => {
      timer[Symbol.dispose]()
      this.#wake = undefined
    })
  }
}

function storedAppRows(database: DatabaseSync): AppRows {
  const rows = new Map<string, AppRow>()
  for (const table of Object.keys(APP_TABLES) as AppRow['table'][]) {
    const { key, cells } = APP_TABLES[table]
    for (const stored of database.prepare(`SELECT * FROM ${table}`).all()) {
      const row: AppRow = {
        table,
        key: key.map((column) => String(stored[column])),
        cells: cells.map((column) => stored[column] as string | number),
      }
      rows.set(keyOf(row), row)
    }
  }
  return rows
}
