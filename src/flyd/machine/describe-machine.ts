import type { MachineDescription } from '../model/machine-description.ts'
import { identityOf } from '../model/machine-identity.ts'
import type { VersionJson } from '../model/machine-version.ts'
import { volumeIdsOf } from '../model/mounted-volumes.ts'
import type { MachineRecord } from './machine-record.ts'

/** A machine that is to leave, for the host where it is to arrive. */
export function describeMachine(
  record: MachineRecord,
  versions: readonly VersionJson[],
): MachineDescription {
  const { config, version, replaced, lease, isCordoned, skipSecrets, minSecretsVersion } = record
  const { hasLaunched, isStandingIn, createdAtMs, bornAtMs = createdAtMs } = record
  return {
    ...identityOf(record),
    config,
    version,
    replaced,
    versions,
    ...(lease === undefined ? {} : { lease }),
    volumeIds: volumeIdsOf(config),
    isCordoned,
    skipSecrets,
    minSecretsVersion,
    isToRun: record.migration?.isToRun === true,
    hasLaunched,
    isStandingIn,
    bornAtMs,
  }
}
