import { errorCode } from '#base'
import type { ClusterKey } from '../api/cluster-key.ts'
import { signedPost } from '../api/signed-post.ts'
import { refuse } from '../errors.ts'
import { guestOf } from '../guest-size.ts'
import type { MachineSeen } from '../model/machine-seen.ts'
import type { FoundPlace } from './move-machine.ts'

export const PLACES_PATH = '/v1/places'

const ASK_MS_MAX = 15_000

export interface GatewayPlacesOptions {
  /** Their addresses on the backhaul, as known now. */
  readonly gateways: (signal: AbortSignal) => Promise<readonly string[]>
  readonly port: number
  readonly key: ClusterKey
}

/** Room on another host: gateways ask the market, of which a host hears only questions. */
export function gatewayPlaces(options: GatewayPlacesOptions) {
  const { key, port, gateways } = options
  return async (machine: MachineSeen, signal: AbortSignal): Promise<FoundPlace> => {
    const { id, appId, region, config } = machine
    const body = JSON.stringify({
      ...{ machine: id, appId, region, guest: guestOf(config), image: config.image ?? '' },
    })
    let last: unknown = refuse('flyd.host_unreached', 'unavailable: no gateway is known')
    for (const address of await gateways(signal)) {
      const host = address.includes(':') ? `[${address}]` : address
      const url = new URL(`http://${host}:${port}${PLACES_PATH}`)
      try {
        const within = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS_MAX)])
        const { result } = await signedPost(url, body, { key, signal: within })
        return result as FoundPlace
      } catch (error) {
        signal.throwIfAborted()
        last = error
        // Nobody has room: another gateway asks the same hosts.
        if (errorCode(error) === 'flyd.conflict') break
      }
    }
    throw last
  }
}
