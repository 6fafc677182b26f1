import { existsSync } from 'node:fs'
import { HostError } from '../errors.ts'
import { type HostConfig, hasRole } from '../host-config.ts'
import { placesOf } from '../parts/derived-part.ts'
import { cannotSign } from './ask-gateway.ts'
import { ownGatewayUrl } from './gateway-url.ts'

/** Where a gateway's commands find what they work on. @throws HostError host.join_refused: it is none */
export function gatewayPlaces(config: HostConfig): {
  accounts: string
  caFile: string
  /** Of its API. */
  url: string
} {
  if (hasRole(config, 'gateway')) {
    const at = placesOf(config)
    return { accounts: at.accounts, caFile: at.secret('ca.pem'), url: ownGatewayUrl(config) }
  }
  throw new HostError('host.join_refused', {
    what: 'this host is no gateway: hosts join and are removed at one',
    values: { host: config.host },
    fix: 'run this on a gateway; godwit host list shows which they are',
  })
}

/** @throws HostError host.join_refused: no host could join at this gateway */
export function requireJoiningKey(config: HostConfig): void {
  const file = placesOf(config).secret('joining.key')
  if (!existsSync(file)) throw cannotSign({ file })
}
