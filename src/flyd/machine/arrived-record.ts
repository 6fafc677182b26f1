import type { MachineConfigJson } from '../machine-json.ts'
import type { MachineDescription } from '../model/machine-description.ts'
import { VERSIONS_MAX } from '../model/machine-version.ts'
import type { MachineRecord } from './machine-record.ts'
import { newRecord } from './new-record.ts'

/** The machine as it begins here: of a new version, with the volumes that its old ones have become. */
export function arrivedRecord(
  moved: MachineDescription,
  about: { version: string; nowMs: number; volumes: Readonly<Record<string, string>> },
): MachineRecord {
  const { isToRun, hasLaunched, isStandingIn, bornAtMs, lease } = moved
  const { version, nowMs, volumes } = about
  const config = withVolumes(moved.config, volumes)
  const made = newRecord({ ...moved, config, skipLaunch: !isToRun }, { version, nowMs, bornAtMs })
  return {
    ...made,
    hasLaunched,
    isStandingIn,
    lease: lease === undefined ? undefined : { ...lease, version },
    replaced: [moved.version, ...moved.replaced].slice(0, VERSIONS_MAX),
    migration: { side: 'in', phase: 'moving', isToRun },
  }
}

function withVolumes(
  config: MachineConfigJson,
  volumes: Readonly<Record<string, string>>,
): MachineConfigJson {
  const { mounts } = config
  if (mounts === undefined) return config
  const moved = mounts.map(({ volume, ...mount }) =>
    volume === undefined ? mount : { ...mount, volume: volumes[volume] ?? volume },
  )
  return { ...config, mounts: moved }
}
