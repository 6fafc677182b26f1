import type { Identity } from './member.ts'
import type { SwimOptions } from './swim-options.ts'

/** A probe of our own that is under way. One at a time. */
export class Probe {
  readonly number: number
  readonly target: Identity
  /** Others are asked then. */
  readonly indirectAtMs: number
  /** The target is a suspect then. */
  readonly endsAtMs: number
  isIndirect = false

  constructor(number: number, target: Identity, options: SwimOptions, nowMs: number) {
    this.number = number
    this.target = target
    this.indirectAtMs = nowMs + options.ackTimeoutMs
    this.endsAtMs = nowMs + options.probePeriodMs
  }

  /** Of its next step. */
  get dueAtMs(): number {
    return this.isIndirect ? this.endsAtMs : this.indirectAtMs
  }
}
