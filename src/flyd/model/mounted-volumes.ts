import type { MachineConfigJson } from '../machine-json.ts'

/** Ids of the volumes that a configuration mounts. */
export const volumeIdsOf = ({ mounts = [] }: MachineConfigJson): string[] =>
  mounts.flatMap(({ volume }) => (volume === undefined || volume === '' ? [] : [volume]))
