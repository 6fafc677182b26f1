import type { StepRule } from './decide.ts'
import type { Transaction } from './ledger.ts'
import type { Outcome, Run } from './run.ts'

/** What a step is: an act that may be repeated, and its opposite. */
export interface Step extends StepRule {
  /** Answers something that JSON can carry; later steps find it in `run.results`. */
  act(run: Run, signal: AbortSignal): Promise<unknown>
  /** Once it has begun nothing leads back: the run cannot be cancelled for its own sake any more. */
  readonly isOneWay?: boolean
  /** Undoes what `act` did, in whole or in part or not at all. Absent: nothing to undo. */
  undo?(run: Run, signal: AbortSignal): Promise<void>
  /** Changes records in the same transaction that logs the step as done. */
  done?(transaction: Transaction, run: Run, result: unknown): void
}

/** A kind of state machine. Which of its steps a run takes is decided when it is accepted. */
export interface Definition {
  readonly kind: string
  readonly steps: Readonly<Record<string, Step>>
  /** True: when a run of `kind` is accepted, one of ours is cancelled and undone; else it ends first. */
  isInterruptedBy(kind: string): boolean
  /**
   * Changes records in the transaction that ends the run. `isLatest`: nothing was accepted after it, so it
   * decides what state the resource is in.
   */
  finished(transaction: Transaction, run: Run & { outcome: Outcome }, isLatest: boolean): void
}
