import type { GuestConfig } from '../agent/machine-config.ts'
import type { GuestSpec } from '../guest-spec.ts'

/** What init is told to run a shell script. */
export function scriptConfig(
  spec: GuestSpec,
  script: string,
  changes: Partial<GuestConfig> = {},
): GuestConfig {
  return {
    argv: ['/bin/sh', '-c', script],
    env: { PATH: '/bin', HOME: '/root' },
    hostname: spec.id,
    root: { device: 'root', type: 'ext4' },
    ...changes,
  }
}
