import type { MachineConfigJson } from '../machine-json.ts'
import type { MachineState } from '../model/machine-state.ts'

/** What is known of the machines of other hosts. */
export interface WatchedMachines {
  /**
   * `gone`: its host is known to be down. `here`: its host is up and the machine is started. Anything else,
   * a crash or a stop too, is `other`.
   */
  stateOf(machineId: string): 'gone' | 'here' | 'other'
}

export const standbyFor = ({ standbys }: MachineConfigJson): readonly string[] =>
  Array.isArray(standbys) ? standbys.filter((id): id is string => typeof id === 'string') : []

/**
 * A standby starts when the host of one that it watches is down, not when that machine stops. It stops again
 * when it was started for this reason and all that it watches are back.
 */
export function decideStandby(
  {
    state,
    config,
    isStandingIn,
  }: { state: MachineState; config: MachineConfigJson; isStandingIn: boolean },
  watched: WatchedMachines,
): 'start' | 'stop' | undefined {
  const states = standbyFor(config).map((id) => watched.stateOf(id))
  if (states.length === 0) return undefined
  if (state === 'stopped' && states.includes('gone')) return 'start'
  if (state === 'started' && isStandingIn && states.every((one) => one === 'here')) return 'stop'
  return undefined
}
