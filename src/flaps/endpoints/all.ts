import type { Endpoint } from '../endpoint.ts'
import { addressEndpoints } from './addresses.ts'
import { appEndpoints } from './apps.ts'
import { certificateEndpoints } from './certificates.ts'
import { issuedTokenEndpoints } from './issued-tokens.ts'
import { logEndpoints } from './logs.ts'
import { machineActionEndpoints } from './machine-actions.ts'
import { machineConnectEndpoints } from './machine-connect.ts'
import { machineExecEndpoints } from './machine-exec.ts'
import { machineIdentityEndpoints } from './machine-identity.ts'
import { machineLeaseEndpoints } from './machine-lease.ts'
import { machineMemoryEndpoints } from './machine-memory.ts'
import { machineMetadataEndpoints } from './machine-metadata.ts'
import { machineWaitEndpoints } from './machine-wait.ts'
import { machineEndpoints } from './machines.ts'
import { metricEndpoints } from './metrics.ts'
import { networkPolicyEndpoints } from './network-policies.ts'
import { organizationEndpoints } from './organizations.ts'
import { platformEndpoints } from './platform.ts'
import { platformOrganizationEndpoints } from './platform-organizations.ts'
import { releaseEndpoints } from './releases.ts'
import { secretKeyEndpoints } from './secret-keys.ts'
import { secretEndpoints } from './secrets.ts'
import { sshEndpoints } from './ssh.ts'
import { tokenEndpoints } from './tokens.ts'
import { volumeEndpoints } from './volumes.ts'
import { wireguardEndpoints } from './wireguard.ts'

/** Every call of the API. */
export const allEndpoints: readonly Endpoint[] = [
  ...appEndpoints,
  ...machineEndpoints,
  ...machineActionEndpoints,
  ...machineWaitEndpoints,
  ...machineLeaseEndpoints,
  ...machineExecEndpoints,
  ...machineMemoryEndpoints,
  ...machineConnectEndpoints,
  ...machineMetadataEndpoints,
  ...volumeEndpoints,
  ...secretEndpoints,
  ...secretKeyEndpoints,
  ...addressEndpoints,
  ...networkPolicyEndpoints,
  ...certificateEndpoints,
  ...releaseEndpoints,
  ...logEndpoints,
  ...organizationEndpoints,
  ...metricEndpoints,
  ...wireguardEndpoints,
  ...platformOrganizationEndpoints,
  ...platformEndpoints,
  ...sshEndpoints,
  ...tokenEndpoints,
  ...issuedTokenEndpoints,
  ...machineIdentityEndpoints,
]
