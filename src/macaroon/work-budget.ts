import { WORK_MACS_MAX } from './limits.ts'

/** What one header may cost its verifier, counted in MACs; other work by what it costs in MACs. */
export class WorkBudget {
  #left = WORK_MACS_MAX

  /** False: the budget is used up, stop. */
  spend(macs: number): boolean {
    this.#left -= macs
    return this.#left >= 0
  }
}

/** Opening a sealed ticket or verifier key costs as much as this many MACs. */
export const UNSEAL_MACS = 16
