import { join } from 'node:path'
import type { Store } from '#corrosion'
import { type Figure, median } from '../figures.ts'
import { CHANGES_PER_ROW, cells, openPlain, openStore, STATEMENTS } from './table.ts'

const ROWS_PER_VERSION = [1, 10, 100] as const
const ROWS = 10_000
const ROUNDS = 3
const CHUNK_BYTES = 8_192
/** An agent applies about so many changes in a transaction. */
const CHANGES_PER_APPLY = 2_000
const UPSERT = `INSERT INTO item VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET owner = excluded.owner,
  name = excluded.name, state = excluded.state, sent_us = excluded.sent_us, load = excluded.load`

type Changeset = Parameters<Store['apply']>[0][number]

/** What one round took, seconds. */
interface Taken {
  readonly readS: number
  readonly insertS: number
  readonly updateS: number
  readonly peerS: number
}

/**
 * A store's versions read as changesets, and merged into another store. The peer upserts the same rows in
 * transactions of the same size, without asking who wrote them when.
 */
export function measureMerge(folder: string, progress: (step: string) => void): Figure[] {
  return ROWS_PER_VERSION.flatMap((rows) => {
    const rounds: Taken[] = []
    for (let round = 1; round <= ROUNDS; round += 1) {
      progress(`merge of versions of ${rows} rows, round ${round} of ${ROUNDS}`)
      rounds.push(mergeRound(join(folder, `merge-${rows}-${round}`), rows))
    }
    const of = (name: keyof Taken) => median(rounds.map((taken) => taken[name]))
    const per = `versions of ${rows}`
    const rate = (key: string, seconds: number, what: string): Figure => {
      return { key, value: ROWS / seconds, what: `${what}, ${per}`, better: 'higher' }
    }
    return [
      rate(`read_${rows}_rows_per_s`, of('readS'), 'own rows read to be told'),
      rate(`merge_insert_${rows}_rows_per_s`, of('insertS'), 'new rows merged'),
      rate(`merge_update_${rows}_rows_per_s`, of('updateS'), 'rows merged, 2 columns changed'),
      rate(`upsert_${rows}_rows_per_s`, of('peerS'), 'peer: rows upserted'),
      {
        key: `ratio_merge_insert_${rows}_vs_sqlite`,
        value: of('insertS') / of('peerS'),
        what: 'time of a row, ours against peer',
        better: 'lower',
      },
    ]
  })
}

function mergeRound(path: string, rowsPerVersion: number): Taken {
  const source = openStore(`${path}-source.db`)
  const target = openStore(`${path}-target.db`)
  const plain = openPlain(`${path}-plain.db`)
  try {
    write(source, 'insert', rowsPerVersion)
    const [inserted, readS] = timed(() => changesetsFrom(source, 1))
    const [, insertS] = timed(() => merge(target, inserted))
    const head = source.head
    write(source, 'update', rowsPerVersion)
    const updated = changesetsFrom(source, head + 1)
    const [, updateS] = timed(() => merge(target, updated))
    const upsert = plain.prepare(UPSERT)
    const [, peerS] = timed(() => {
      for (let row = 0; row < ROWS; row += CHANGES_PER_APPLY / CHANGES_PER_ROW) {
        plain.exec('BEGIN IMMEDIATE')
        for (let at = 0; at < CHANGES_PER_APPLY / CHANGES_PER_ROW; at += 1) {
          upsert.run(...cells('insert', row + at))
        }
        plain.exec('COMMIT')
      }
    })
    return { readS, insertS, updateS, peerS }
  } finally {
    source.close()
    target.close()
    plain.close()
  }
}

function write(store: Store, operation: 'insert' | 'update', rowsPerVersion: number): void {
  const statement = store.statement(STATEMENTS[operation])
  for (let row = 0; row < ROWS; row += rowsPerVersion) {
    store.transaction(() => {
      for (let at = 0; at < rowsPerVersion; at += 1) statement.run(...cells(operation, row + at))
    })
  }
  store.settle()
}

function changesetsFrom(store: Store, first: number): Changeset[] {
  const changesets: Changeset[] = []
  for (let version = first; version <= store.head; version += 1) {
    for (const changeset of store.ownChangesets(version, CHUNK_BYTES)) changesets.push(changeset)
  }
  return changesets
}

function merge(store: Store, changesets: readonly Changeset[]): void {
  let batch: Changeset[] = []
  let changes = 0
  for (const changeset of changesets) {
    batch.push(changeset)
    if (changeset.kind === 'full') changes += changeset.seqs.end - changeset.seqs.start + 1
    if (changes < CHANGES_PER_APPLY) continue
    applyAll(store, batch)
    batch = []
    changes = 0
  }
  applyAll(store, batch)
}

function applyAll(store: Store, batch: readonly Changeset[]): void {
  const refused = store.apply(batch).find(({ kind }) => kind === 'refused')
  if (refused?.kind === 'refused') throw refused.error
  store.settle()
}

function timed<T>(work: () => T): [T, seconds: number] {
  const startMs = performance.now()
  const result = work()
  return [result, (performance.now() - startMs) / 1_000]
}
