import { type Clock, type Log, startDeadline } from '#base'
import type { ApiClient } from '#corrosion'
import type { TrafficPolicy } from '#net6'
import { type PolicedMachine, type PolicyRow, trafficPolicyOf } from './traffic-policy-of.ts'

/** Where the network policies of apps come from. */
export interface PolicySource {
  /**
   * What they come to for a machine that starts now. Undefined: they cannot be had.
   *
   * @throws EffectError effect.fatal: this version does not understand them
   */
  policyOf(machine: PolicedMachine, signal: AbortSignal): Promise<TrafficPolicy | undefined>
}

export interface CorrosionPoliciesOptions {
  /** Of this host's agent. */
  readonly client: ApiClient
  readonly clock: Clock
  readonly log: Log
}

const QUERY_MS_MAX = 5_000
const SQL = 'SELECT id, selector, rules FROM network_policies WHERE app_id = ? ORDER BY id'

/** As the rows of this host's agent have them, which are as old as gossip is slow. */
export function corrosionPolicies({ client, clock, log }: CorrosionPoliciesOptions): PolicySource {
  const read = async (appId: string, outer: AbortSignal): Promise<PolicyRow[]> => {
    const options = { clock, signal: outer }
    using deadline = startDeadline('the network policies of an app', QUERY_MS_MAX, options)
    const rows: PolicyRow[] = []
    for await (const event of client.query(SQL, [appId], { signal: deadline.signal })) {
      if (event.kind !== 'row') continue
      const [id, selector, rules] = event.cells.map(String)
      rows.push({ id: id ?? '', selector: selector ?? '', rules: rules ?? '' })
    }
    return rows
  }
  return {
    async policyOf(machine, signal) {
      let rows: PolicyRow[]
      try {
        rows = await read(machine.appId, signal)
      } catch (err) {
        if (signal.aborted) throw signal.reason
        log.warn({ err, machine: machine.id }, 'no network policies: those that it had go on')
        return undefined
      }
      return trafficPolicyOf(rows, machine)
    },
  }
}
