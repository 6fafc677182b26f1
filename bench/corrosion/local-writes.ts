import { join } from 'node:path'
import type { StatementSync } from 'node:sqlite'
import { type Figure, median } from '../figures.ts'
import { cells, OPERATIONS, type Operation, openPlain, openStore, STATEMENTS } from './table.ts'

const ROWS_PER_TRANSACTION = [1, 10, 100] as const
const ROWS = 2_000
const ROUNDS = 9
/** Rows that are there from the beginning, so that trees have their depth. */
const ROWS_BEFORE = 20_000
/** A busy agent comes to settle about so often. */
const SETTLE_EVERY_MS = 3

/** One of the two that are compared. */
interface Writer {
  readonly statements: Readonly<Record<Operation, StatementSync>>
  transact(work: () => void): void
  /** Does what the writes so far have left to do. */
  settle(): void
  close(): void
}

/**
 * CPU of a written row, user and system, by this process: what the store puts off and settles every few
 * milliseconds is counted with the writes that caused it.
 */
export function measureWrites(folder: string, progress: (step: string) => void): Figure[] {
  const writers = { ours: storeWriter(folder), peer: plainWriter(folder) }
  try {
    const costs = new Map<string, { ours: number[]; peer: number[] }>()
    for (let round = 0; round <= ROUNDS; round += 1) {
      progress(`writes, round ${round} of ${ROUNDS}`)
      for (const [at, rows] of ROWS_PER_TRANSACTION.entries()) {
        const firstId = ROWS_BEFORE + (round * ROWS_PER_TRANSACTION.length + at) * ROWS
        measureRound(writers, { rows, firstId, round }, costs)
      }
    }
    return figuresOf(costs)
  } finally {
    writers.ours.close()
    writers.peer.close()
  }
}

interface Round {
  /** Rows of a transaction. */
  readonly rows: number
  readonly firstId: number
  readonly round: number
}

/** Inserts, updates and deletes rows that never were before; both take turns, each begins as often as the other. */
function measureRound(
  writers: { ours: Writer; peer: Writer },
  { rows, firstId, round }: Round,
  costs: Map<string, { ours: number[]; peer: number[] }>,
): void {
  const names = ['ours', 'peer'] as const
  for (const operation of OPERATIONS) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const cost = costUs(writers[name], operation, rows, firstId)
      if (round === 0) continue // warms up
      const key = `${operation}_${rows}`
      const known = costs.get(key) ?? { ours: [], peer: [] }
      known[name].push(cost)
      costs.set(key, known)
    }
  }
}

function costUs(
  writer: Writer,
  operation: Operation,
  rowsPerTransaction: number,
  firstId: number,
): number {
  const statement = writer.statements[operation]
  const start = process.cpuUsage()
  let settledMs = performance.now()
  for (let row = 0; row < ROWS; row += rowsPerTransaction) {
    writer.transact(() => {
      for (let at = 0; at < rowsPerTransaction; at += 1) {
        statement.run(...cells(operation, firstId + row + at))
      }
    })
    if (performance.now() - settledMs < SETTLE_EVERY_MS) continue
    writer.settle()
    settledMs = performance.now()
  }
  writer.settle()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / ROWS
}

function storeWriter(folder: string): Writer {
  const store = openStore(join(folder, 'writes-store.db'))
  const writer: Writer = {
    statements: {
      insert: store.statement(STATEMENTS.insert),
      update: store.statement(STATEMENTS.update),
      delete: store.statement(STATEMENTS.delete),
    },
    transact: (work) => store.transaction(work),
    settle: () => store.settle(),
    close: () => store.close(),
  }
  return filled(writer)
}

function plainWriter(folder: string): Writer {
  const database = openPlain(join(folder, 'writes-plain.db'))
  const begin = database.prepare('BEGIN IMMEDIATE')
  const commit = database.prepare('COMMIT')
  const writer: Writer = {
    statements: {
      insert: database.prepare(STATEMENTS.insert),
      update: database.prepare(STATEMENTS.update),
      delete: database.prepare(STATEMENTS.delete),
    },
    transact(work) {
      begin.run()
      work()
      commit.run()
    },
    settle: () => undefined,
    close: () => database.close(),
  }
  return filled(writer)
}

function filled(writer: Writer): Writer {
  writer.transact(() => {
    for (let id = 0; id < ROWS_BEFORE; id += 1) writer.statements.insert.run(...cells('insert', id))
  })
  writer.settle()
  return writer
}

function figuresOf(costs: ReadonlyMap<string, { ours: number[]; peer: number[] }>): Figure[] {
  const figures: Figure[] = []
  let logs = 0
  for (const [name, { ours, peer }] of costs) {
    const [operation, rows] = name.split('_')
    const what = `CPU per row, ${operation}, ${rows} a transaction`
    const ratio = median(ours) / median(peer)
    logs += Math.log(ratio)
    figures.push(
      { key: `${name}_row_us`, value: median(ours), what, better: 'lower' },
      { key: `${name}_row_sqlite_us`, value: median(peer), what: 'peer', better: 'lower' },
      { key: `ratio_${name}_vs_sqlite`, value: ratio, what: 'ours against peer', better: 'lower' },
    )
  }
  const mean = Math.exp(logs / costs.size)
  const what = 'the nine ratios, geometric mean'
  return [{ key: 'ratio_write_cpu_vs_sqlite', value: mean, what, better: 'lower' }, ...figures]
}
