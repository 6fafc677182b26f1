import type { MachineEntry } from '../routing-table/app-tree.ts'

/** What became of a start. */
export type WakeResult =
  | { readonly kind: 'ready' }
  /**
   * PM01 the API refused, PM02 internal, PM03 no answer in time, PM04 an answer nobody understands, PM07 the state
   * could not be changed, PM08 its state cannot be started from, PM09 unknown state, PM10 cancelled, PU03 the
   * host is unreachable.
   */
  | { readonly kind: 'failed'; readonly code: WakeErrorCode; readonly reason: string }

export type WakeErrorCode =
  | 'PM01'
  | 'PM02'
  | 'PM03'
  | 'PM04'
  | 'PM07'
  | 'PM08'
  | 'PM09'
  | 'PM10'
  | 'PU03'

/** Starts and stops machines through the API of their hosts. What it says comes back by callbacks. */
export interface MachineWaker {
  /**
   * Starts a machine; one that runs already is a success. `done` is called exactly once, at the latest after
   * `deadlineMs`: ready when the host says that it runs and that its service checks pass.
   */
  start(machine: MachineEntry, deadlineMs: number, done: (result: WakeResult) => void): void

  /** Stops or suspends one; suspending falls back to stopping where it is impossible. */
  stop(machine: MachineEntry, how: 'stop' | 'suspend', done: (result: StopResult) => void): void
}

export type StopResult =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly reason: string }
