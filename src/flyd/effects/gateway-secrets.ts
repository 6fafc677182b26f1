import { errorCode } from '#base'
import type { ClusterKey } from '../api/cluster-key.ts'
import { SECRETS_PORT } from '../api/gateway-port.ts'
import { type SealedAnswer, SealedAsk } from '../api/sealed-answer.ts'
import { signedPost } from '../api/signed-post.ts'
import { refuse } from '../errors.ts'
import type { SecretSource } from './secret-source.ts'

export const SECRETS_PATH = '/v1/secrets'

const ASK_MS_MAX = 5_000

export interface GatewaySecretsOptions {
  readonly hostId: string
  /** On the backhaul, as known now: the nearest first, if that is known. */
  readonly gateways: (signal: AbortSignal) => Promise<readonly string[]>
  /** @default SECRETS_PORT */
  readonly port?: number
  readonly key: ClusterKey
}

const APPS_MAX = 1_000

/**
 * Secrets, sealed on the way to this process alone, from whichever gateway answers. What came last is kept in memory for when none does, so that
 * machines start again without them; after a restart of this process they wait for one.
 */
export function gatewaySecrets(options: GatewaySecretsOptions): SecretSource {
  const { hostId, key, port = SECRETS_PORT } = options
  const known = new Map<string, { version: number; values: Readonly<Record<string, string>> }>()
  return {
    async secretsOf(app, minVersion, signal) {
      let last: unknown = refuse('flyd.host_unreached', 'unavailable: no gateway is known')
      for (const address of await options.gateways(signal)) {
        const host = address.includes(':') ? `[${address}]` : address
        const url = new URL(`http://${host}:${port}${SECRETS_PATH}`)
        try {
          const within = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS_MAX)])
          const ask = new SealedAsk()
          const body = JSON.stringify({ app, minVersion, host: hostId, sealTo: ask.publicKey })
          const answer = await signedPost(url, body, { key, signal: within })
          const opened = ask.open(answer.result as SealedAnswer, answer.requestId)
          const values = JSON.parse(opened) as Readonly<Record<string, string>>
          if (known.size >= APPS_MAX) known.clear()
          known.set(app, { version: minVersion, values })
          return values
        } catch (error) {
          signal.throwIfAborted()
          last = error // of the last one: the others are tried first
        }
      }
      const before = known.get(app)
      if (errorCode(last) === 'flyd.host_unreached' && before && before.version >= minVersion) {
        return before.values
      }
      throw last
    },
  }
}
