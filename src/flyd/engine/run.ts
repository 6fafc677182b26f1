/**
 * A run of a state machine: what was asked for, and how far it came. It is nothing but the sum of the
 * entries of its log, so a run that is read back after a crash is the one that was.
 */
export interface Run {
  /** A ULID: later runs have larger ids. */
  readonly id: string
  readonly kind: string
  /** What it works on: `machine/<id>`, `volume/<id>`. One run of a resource acts at a time. */
  readonly resource: string
  /** As JSON. */
  readonly input: unknown
  readonly steps: readonly string[]
  readonly acceptedAtMs: number
  /** The step that is next or under way, an index of `steps`; -1: all is undone. */
  readonly at: number
  readonly way: 'forward' | 'back'
  /** The step at `at` may have acted. */
  readonly hasBegun: boolean
  /** Of that step, failed ones. */
  readonly tries: number
  /** Not before; wall clock. */
  readonly retryAtMs: number
  /** What steps answered, by name, as JSON. */
  readonly results: Readonly<Record<string, unknown>>
  /** Why it turned, or the last failure. */
  readonly error: string | undefined
  readonly turned: 'failed' | 'cancelled' | undefined
  readonly outcome: Outcome | undefined
  /** Oldest first, the middle left out of a long one. */
  readonly entries: readonly Entry[]
}

/** `superseded`: something later was asked for before it began. */
export type Outcome = 'done' | 'failed' | 'cancelled' | 'superseded'

/** A line of the log. `atMs`: wall clock. */
export type Entry =
  | {
      readonly type: 'accepted'
      readonly atMs: number
      readonly id: string
      readonly kind: string
      readonly resource: string
      readonly input: unknown
      readonly steps: readonly string[]
    }
  /** The step is about to act, or to be undone. */
  | {
      readonly type: 'began'
      readonly atMs: number
      readonly step: string
      readonly way: Run['way']
    }
  | {
      readonly type: 'done'
      readonly atMs: number
      readonly step: string
      readonly result?: unknown
    }
  | {
      readonly type: 'failed'
      readonly atMs: number
      readonly step: string
      readonly error: string
      /** Absent: it is not tried again. */
      readonly retryAtMs?: number
    }
  /** From here on what was done is undone, the step at hand first. */
  | {
      readonly type: 'turned'
      readonly atMs: number
      readonly reason: 'failed' | 'cancelled'
      readonly error: string
    }
  /** All before it, in one: a run that is tried for ever has a log that ends. */
  | { readonly type: 'snapshot'; readonly atMs: number; readonly run: Run }
  | { readonly type: 'finished'; readonly atMs: number; readonly outcome: Outcome }

/** A run remembers its first and its last entries. */
const ENTRIES_MAX = 200
const FIRST_KEPT = 20

/** The run after one more entry. The first is `accepted`. */
export function fold(run: Run | undefined, entry: Entry): Run {
  if (entry.type === 'snapshot') return entry.run
  if (run === undefined) return accepted(entry)
  const entries = appended(run.entries, entry)
  switch (entry.type) {
    case 'accepted':
      return run
    case 'began':
      return { ...run, entries, hasBegun: true }
    case 'done':
      return { ...run, entries, ...onward(run), ...resultOf(run, entry) }
    case 'failed':
      return failed(run, entry, entries)
    case 'turned':
      return { ...run, entries, ...turn(run), error: entry.error, turned: entry.reason }
    case 'finished':
      return { ...run, entries, outcome: entry.outcome }
  }
}

function accepted(entry: Entry): Run {
  if (entry.type !== 'accepted') throw new TypeError('a run begins with its acceptance')
  const { id, kind, resource, input, steps, atMs } = entry
  return {
    id,
    kind,
    resource,
    input,
    steps,
    acceptedAtMs: atMs,
    at: 0,
    way: 'forward',
    hasBegun: false,
    tries: 0,
    retryAtMs: 0,
    results: {},
    error: undefined,
    turned: undefined,
    outcome: undefined,
    entries: [entry],
  }
}

const fresh = { hasBegun: false, tries: 0, retryAtMs: 0 } as const

const onward = ({ at, way }: Run) => ({ ...fresh, at: way === 'forward' ? at + 1 : at - 1 })

function resultOf(run: Run, { step, result }: { step: string; result?: unknown }) {
  if (run.way === 'back' || result === undefined) return {}
  return { results: { ...run.results, [step]: result } }
}

function failed(run: Run, entry: Entry & { type: 'failed' }, entries: readonly Entry[]): Run {
  const { error, retryAtMs } = entry
  const base = { ...run, entries, error, tries: run.tries + 1 }
  if (retryAtMs !== undefined) return { ...base, retryAtMs }
  // Going back, what cannot be undone is left behind, and the rest is undone.
  return run.way === 'back' ? { ...base, ...onward(run) } : base
}

/** What had begun may have acted in part: it is the first to be undone. */
const turn = ({ at, hasBegun }: Run) => ({
  ...fresh,
  way: 'back' as const,
  at: hasBegun ? at : at - 1,
})

function appended(entries: readonly Entry[], entry: Entry): readonly Entry[] {
  if (entries.length < ENTRIES_MAX) return [...entries, entry]
  return [...entries.slice(0, FIRST_KEPT), ...entries.slice(FIRST_KEPT + 1), entry]
}
