import type { DatabaseSync } from 'node:sqlite'
import type { Clock, Random } from '#base'
import type { KeyRing } from './key-ring.ts'

/** What the tables' code stands on. */
export interface Store {
  readonly database: DatabaseSync
  readonly ring: KeyRing
  readonly clock: Clock
  readonly random: Random
}
