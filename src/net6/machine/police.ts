import { policyEntry } from '../programs/map-layout.ts'
import type { Programs } from '../programs/programs.ts'
import { OPEN_TRAFFIC, policedDirections, type TrafficPolicy } from '../programs/traffic-policy.ts'

/**
 * Makes ready what the programs need to keep a machine to its policy, before its own entry says that they must. What stands
 * already stays, with the connections that it knows; another policy begins without any.
 */
export async function preparePolicing(
  programs: Programs,
  { ifindex, policy = OPEN_TRAFFIC }: { ifindex: number; policy?: TrafficPolicy | undefined },
  signal?: AbortSignal,
): Promise<void> {
  if (policedDirections(policy) === 0) return
  const entry = policyEntry(ifindex, policy)
  if ((await programs.lookup(entry, signal))?.equals(entry.value)) return // connections were before it
  await programs.makeFlows(ifindex, signal)
  await programs.set([entry], signal)
}

/** Takes it away, once nothing needs it. Runs twice, and without any. */
export async function endPolicing(
  programs: Programs,
  ifindex: number,
  signal?: AbortSignal,
): Promise<void> {
  await programs.remove([policyEntry(ifindex, OPEN_TRAFFIC)], signal)
  await programs.removeFlows(ifindex, signal)
}
