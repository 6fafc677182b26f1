/** Source: the states of the Machines API. */
export const MACHINE_STATES = [
  'created',
  'starting',
  'started',
  'stopping',
  'stopped',
  'suspending',
  'suspended',
  'restarting',
  'replacing',
  'failed',
  'launch_failed',
  'destroying',
  'destroyed',
  'migrated',
] as const
export type MachineState = (typeof MACHINE_STATES)[number]

/** It does not live here any more. */
export const isGone = ({ state }: { readonly state: MachineState }): boolean =>
  state === 'destroyed' || state === 'migrated'
