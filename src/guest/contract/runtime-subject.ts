/** The runtime that is under test. */
export interface RuntimeSubject {
  readonly name: string
  /** Exports `openRuntime(stateDir)`; loaded here and in processes that are killed. */
  readonly subjectPath: string
  /** A virtual machine's kernel tells init who died for want of memory. */
  readonly isVirtual: boolean
  /** How many machines are made one after another to look for leaks; GODWIT_LEAK_ROUNDS says it for all. */
  readonly leakRounds: number
}
