import { type ChildProcess, fork } from 'node:child_process'
import { UserSqlError } from '../store/user-sql-error.ts'
import type { RequestStatement } from './json-body.ts'
import type { QueryEvent, QueryJob } from './query-child.ts'

const PROCESSES_MAX = 8
/** One that has nothing to do for so long is ended. */
const IDLE_MS = 30_000
const CHILD = new URL('./query-child.ts', import.meta.url)

interface Sink {
  columns(columns: readonly string[]): void
  /** Resolves when there is room for more. */
  rows(lines: string): Promise<void>
}

/** Processes for queries that could run for ever: a deadline ends them whatever they do. */
export class QueryProcesses implements Disposable {
  readonly #path: string
  readonly #idle: { readonly child: ChildProcess; readonly timer: NodeJS.Timeout }[] = []
  readonly #all = new Set<ChildProcess>()

  /** @param path of the database */
  constructor(path: string) {
    this.#path = path
  }

  /**
   * Runs a query and hands its rows to `sink`. `timeoutMs` 0 is none.
   * @throws UserSqlError: with the code of what kept it from beginning; corrosion.sql_timeout and
   *   corrosion.sql_failed also on the way; corrosion.readers_busy
   */
  async run(
    { sql, parameters }: RequestStatement,
    timeoutMs: number,
    sink: Sink,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    const child = this.#take()
    let isDone = false
    let release: () => void = () => undefined
    try {
      await new Promise<void>((resolve, reject) => {
        const interrupt = () => reject(failure('corrosion.sql_timeout', 'interrupted'))
        const timer = timeoutMs === 0 ? undefined : setTimeout(interrupt, timeoutMs)
        const ended = () => reject(failure('corrosion.sql_failed', 'the query process ended'))
        // Without a callback a process that was ended meanwhile would be an error that nobody hears.
        const tell = (what: QueryJob | 'more') =>
          child.send(what, (error) => {
            if (error !== null) ended()
          })
        const gone = () => reject(failure('corrosion.sql_timeout', 'the reader has gone'))
        const onEvent = (event: QueryEvent) => {
          if (event.kind === 'columns') sink.columns(event.columns)
          else if (event.kind === 'rows') void sink.rows(event.lines).then(() => tell('more'))
          else {
            isDone = true
            if (event.kind === 'end') resolve()
            else reject(failure(event.code ?? 'corrosion.sql_failed', event.message))
          }
        }
        child.on('message', onEvent).once('exit', ended)
        signal.addEventListener('abort', gone)
        release = () => {
          clearTimeout(timer)
          child.off('message', onEvent).off('exit', ended)
          signal.removeEventListener('abort', gone)
        }
        const job: QueryJob = { kind: 'run', path: this.#path, sql, parameters }
        tell(job)
      })
    } finally {
      release()
      if (isDone) this.#give(child)
      else this.#end(child)
    }
  }

  [Symbol.dispose](): void {
    for (const child of this.#all) this.#end(child)
  }

  #take(): ChildProcess {
    const idle = this.#idle.pop()
    if (idle !== undefined) {
      clearTimeout(idle.timer)
      return idle.child
    }
    if (this.#all.size >= PROCESSES_MAX) {
      throw failure('corrosion.readers_busy', 'all processes for queries are taken')
    }
    const child = fork(CHILD, {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#all.add(child)
    child.once('exit', () => this.#end(child))
    return child
  }

  #give(child: ChildProcess): void {
    const timer = setTimeout(() => this.#end(child), IDLE_MS)
    timer.unref()
    child.unref()
    child.channel?.unref()
    this.#idle.push({ child, timer })
  }

  /** A query that runs does not hear a polite word. */
  #end(child: ChildProcess): void {
    this.#all.delete(child)
    const at = this.#idle.findIndex((idle) => idle.child === child)
    if (at >= 0) clearTimeout(this.#idle.splice(at, 1)[0]?.timer)
    child.kill('SIGKILL')
  }
}

function failure(code: ConstructorParameters<typeof UserSqlError>[0], what: string): UserSqlError {
  return new UserSqlError(code, { what })
}
