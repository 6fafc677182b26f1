import type { Log } from '#base'
import type { MachineControl } from '../machine/machine-control.ts'
import type { MachineTable } from '../machine/machine-table.ts'
import { decideStandby, type WatchedMachines } from './standby.ts'

export interface StandbyDutyOptions {
  readonly machines: MachineTable
  readonly control: MachineControl
  readonly log: Log
}

/** Has this host's standbys start and stop, as those do that they stand in for. */
export class StandbyDuty {
  readonly #options: StandbyDutyOptions
  /** Why each could not do what it should, when it last was told. */
  readonly #refused = new Map<string, string>()

  constructor(options: StandbyDutyOptions) {
    this.#options = options
  }

  /** What is known of machines elsewhere has changed. */
  async watchedChanged(watched: WatchedMachines): Promise<void> {
    const { machines, control } = this.#options
    for (const record of [...machines.records.values()]) {
      const decision = decideStandby(record, watched)
      if (decision === undefined) continue
      try {
        const by = { source: 'flyd' } as const
        if (decision === 'start') {
          await control.start(record.id, { ...by, isStandingIn: true })
        } else {
          await control.stop(record.id, { ...by, signal: undefined, timeoutMs: undefined })
        }
      } catch (error) {
        this.#tell(record.id, decision, error)
        continue
      }
      this.#refused.delete(record.id)
    }
  }

  /** Once for each reason: it is tried again every few seconds. */
  #tell(id: string, decision: string, error: unknown): void {
    if (this.#refused.get(id) === String(error)) return
    this.#refused.set(id, String(error))
    this.#options.log.warn({ err: error, machine: id }, `a standby could not ${decision}`)
  }
}
