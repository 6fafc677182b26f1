import type { Endpoint } from '../endpoint.ts'
import { addressEndpoints } from './addresses.ts'
import { appEndpoints } from './apps.ts'
import { machineActionEndpoints } from './machine-actions.ts'
import { machineExecEndpoints } from './machine-exec.ts'
import { machineLeaseEndpoints } from './machine-lease.ts'
import { machineMetadataEndpoints } from './machine-metadata.ts'
import { machineWaitEndpoints } from './machine-wait.ts'
import { machineEndpoints } from './machines.ts'
import { organizationEndpoints } from './organizations.ts'
import { platformEndpoints } from './platform.ts'
import { secretEndpoints } from './secrets.ts'
import { tokenEndpoints } from './tokens.ts'
import { volumeEndpoints } from './volumes.ts'

/** Every call of the API. */
export const allEndpoints: readonly Endpoint[] = [
  ...appEndpoints,
  ...machineEndpoints,
  ...machineActionEndpoints,
  ...machineWaitEndpoints,
  ...machineLeaseEndpoints,
  ...machineExecEndpoints,
  ...machineMetadataEndpoints,
  ...volumeEndpoints,
  ...secretEndpoints,
  ...addressEndpoints,
  ...organizationEndpoints,
  ...platformEndpoints,
  ...tokenEndpoints,
]
