import type { Clock, Random } from '#base'
import type { Ledger } from '../engine/ledger.ts'
import { machineNotFound, refuse } from '../errors.ts'
import type { LeaseOptions } from '../host.ts'
import type { LeaseJson } from '../model/lease.ts'
import { isGone } from '../model/machine-state.ts'
import { leaseHeld, leaseOf, newLease } from './leases.ts'
import type { MachineTable } from './machine-table.ts'
import { checkChangeable } from './state-checks.ts'

export interface LeaseControlOptions {
  readonly ledger: Ledger
  readonly machines: MachineTable
  readonly clock: Clock
  readonly random: Random
}

/** Who holds the lease of a machine; each change is one transaction. */
export class LeaseControl {
  readonly #options: LeaseControlOptions

  constructor(options: LeaseControlOptions) {
    this.#options = options
  }

  /** As of what is in the log. Undefined: nobody holds one. @throws FlydError flyd.not_found: no such machine */
  present(id: string): LeaseJson | undefined {
    const record = this.#options.machines.records.get(id)
    if (record === undefined) throw machineNotFound()
    return leaseOf(record, this.#options.clock.nowMs())
  }

  /** With the nonce of the present lease: prolongs it. @throws FlydError flyd.conflict: another nonce */
  acquire(id: string, options: LeaseOptions): Promise<LeaseJson> {
    const { ledger, machines, clock } = this.#options
    return ledger.transact((transaction) => {
      const record = checkChangeable(machines.staged(id))
      if (isGone(record)) throw machineNotFound()
      const present = leaseOf(record, clock.nowMs())
      if (present !== undefined && present.nonce !== options.nonce) throw leaseHeld(id, present)
      const lease = newLease(record, options, this.#options)
      machines.put(transaction, { ...record, lease })
      return lease
    })
  }

  /** @throws FlydError flyd.not_found: none, or expired; flyd.conflict: another nonce */
  async release(id: string, nonce: string): Promise<void> {
    const { ledger, machines, clock } = this.#options
    await ledger.transact((transaction) => {
      const record = checkChangeable(machines.staged(id))
      const present = leaseOf(record, clock.nowMs())
      if (present === undefined) throw refuse('flyd.not_found', 'not_found: lease not found')
      if (present.nonce !== nonce) throw leaseHeld(id, present)
      machines.put(transaction, { ...record, lease: undefined })
    })
  }
}
