import type { Runtime } from '../runtime.ts'
import type { RuntimeSubject } from './runtime-subject.ts'
import type { TrialDisks } from './trial-disks.ts'

/** How long a machine, emulated on a busy host, may take to come to a state. */
export const STATE_MS = 180_000

/** What the contract's tests share: one runtime of a state folder of its own. */
export interface Bench {
  readonly subject: RuntimeSubject
  disks(): TrialDisks
  runtime(): Runtime
}
