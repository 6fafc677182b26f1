import type { Run } from './run.ts'
import { readRun, readRuns } from './run-log.ts'
import type { Store } from './store.ts'

export interface RunFilter {
  /** A machine's or volume's id, or the resource with its kind. */
  readonly of?: string | undefined
  readonly kind?: string | undefined
  /** `active`: not ended. */
  readonly state?: 'active' | 'done' | 'failed' | 'cancelled' | 'superseded' | undefined
  readonly limit: number
}

/** How somebody looks at runs, wherever they are: in a store of this process, or over a host's API. */
export interface RunReader {
  /** Newest first. */
  list(filter: RunFilter): Promise<readonly Run[]>
  /** By its id or the beginning of it. Undefined: none, or no longer remembered. */
  show(id: string): Promise<Run | undefined>
}

/** Of a store: flyd's own, or one that was opened to be read. */
export function runReader(store: Store): RunReader {
  return {
    async list(filter) {
      const found: Run[] = []
      for (const run of readRuns(store)) {
        if (found.length >= filter.limit) break
        if (isWanted(run, filter)) found.push(run)
      }
      return found
    },
    show: async (id) => readRun(store, id),
  }
}

function isWanted({ resource, kind, outcome }: Run, filter: RunFilter): boolean {
  if (filter.kind !== undefined && filter.kind !== kind) return false
  if (filter.of !== undefined && resource !== filter.of && resource.split('/')[1] !== filter.of) {
    return false
  }
  return filter.state === undefined || filter.state === (outcome ?? 'active')
}
