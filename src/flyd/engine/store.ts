/**
 * Where the log lives: an ordered map from texts to JSON values, changed by batches. LmdbStore on a host;
 * the simulator has its own.
 */
export interface Store {
  get(key: string): unknown
  /** In the order of keys, those that begin with `prefix`. Sees the batches that are durable. */
  entries(prefix: string): Iterable<readonly [key: string, value: unknown]>
  /**
   * All of it or nothing, also over a crash; durable once it resolves. Batches take effect in the order of
   * the calls: when a later one is durable, so are all before it.
   */
  commit(batch: readonly Write[]): Promise<void>
}

export type Write = { readonly put: string; readonly value: unknown } | { readonly remove: string }
