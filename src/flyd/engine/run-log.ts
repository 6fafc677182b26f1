import { type Entry, fold, type Run } from './run.ts'
import type { Store } from './store.ts'

/**
 * Where runs are in the store: `run/<id>/<n>` each entry of one that has not ended, `past/<id>` the whole of
 * one that has.
 */
export const entryKey = (id: string, at: number): string =>
  `run/${id}/${String(at).padStart(6, '0')}`
export const runKey = (id: string): string => `past/${id}`

/** Those that have not ended, oldest first. */
export function readActiveRuns(store: Store): { run: Run; entryCount: number }[] {
  const runs = new Map<string, { run: Run; entryCount: number }>()
  for (const [key, value] of store.entries('run/')) {
    const id = key.split('/')[1] ?? ''
    const known = runs.get(id)
    const run = fold(known?.run, value as Entry)
    runs.set(id, { run, entryCount: (known?.entryCount ?? 0) + 1 })
  }
  return [...runs.values()]
}

/** Oldest first. */
export function readPastIds(store: Store): string[] {
  return Array.from(store.entries('past/'), ([key]) => key.slice('past/'.length))
}

/** Newest first: those under way, then those that ended. */
export function* readRuns(store: Store): Generator<Run> {
  yield* readActiveRuns(store)
    .map(({ run }) => run)
    .reverse()
  for (const id of readPastIds(store).reverse()) yield store.get(runKey(id)) as Run
}

/** By its id, or the beginning of it. */
export function readRun(store: Store, id: string): Run | undefined {
  const active = readActiveRuns(store).find(({ run }) => run.id.startsWith(id))
  if (active !== undefined) return active.run
  for (const [, run] of store.entries(`past/${id}`)) return run as Run
  return undefined
}
