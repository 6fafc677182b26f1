import type { Log } from '#base'
import type { MachineEffects } from '../effects/machine-effects.ts'
import type { MachineView } from '../model/machine-view.ts'

/**
 * Removes what machines have left that nobody knows of: guests, networks, roots. Before anything of the log
 * goes on, so that nothing of a machine that is being made counts.
 *
 * @returns the ids.
 */
export async function sweepStrays(
  effects: MachineEffects,
  view: MachineView,
  { log, signal }: { log: Log; signal: AbortSignal },
): Promise<string[]> {
  const swept: string[] = []
  for (const id of await effects.list(signal)) {
    const machine = view.machine(id)
    if (machine !== undefined && machine.state !== 'destroyed') continue
    log.warn({ machine: id }, 'removing what a machine has left that is not here')
    await effects.removeGuest(id, signal)
    await effects.removeNetwork(id, false, signal)
    await effects.detachVolumes(id, signal)
    await effects.removeRoot(id, signal)
    swept.push(id)
  }
  return swept
}
