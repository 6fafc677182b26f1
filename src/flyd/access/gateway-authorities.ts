import { type Clock, errorCode } from '#base'
import type { ClusterKey } from '../api/cluster-key.ts'
import { signedPost } from '../api/signed-post.ts'
import { refuse } from '../errors.ts'

/** What gateways answer this on, beside secrets. */
export const SSH_AUTHORITY_PATH = '/v1/ssh-authority'

const ASK_MS_MAX = 5_000
const FRESH_MS = 60_000
const KNOWN_MAX = 10_000

/** Raw Ed25519 keys of those whose certificates open the machines of an organisation. */
export type SshAuthorities = (
  organization: string,
  signal: AbortSignal,
) => Promise<readonly Uint8Array[]>

export const noAuthorities: SshAuthorities = async () => []

export interface GatewayAuthoritiesOptions {
  /** On the backhaul, as known now: the nearest first, if that is known. */
  readonly gateways: (signal: AbortSignal) => Promise<readonly string[]>
  readonly port: number
  readonly key: ClusterKey
  readonly clock: Clock
}

/** From whichever gateway answers. What was known before counts while none does. */
export function gatewayAuthorities(options: GatewayAuthoritiesOptions): SshAuthorities {
  const { key, port, clock } = options
  const known = new Map<string, { atMs: number; keys: readonly Uint8Array[] }>()
  return async (organization, signal) => {
    const before = known.get(organization)
    const isFresh = before !== undefined && clock.monotonicMs() - before.atMs < FRESH_MS
    // An organisation that had none a moment ago may have one now: its first certificate made it.
    if (isFresh && before.keys.length > 0) return before.keys
    let last: unknown = refuse('flyd.host_unreached', 'unavailable: no gateway is known')
    for (const address of await options.gateways(signal)) {
      const host = address.includes(':') ? `[${address}]` : address
      const url = new URL(`http://${host}:${port}${SSH_AUTHORITY_PATH}`)
      try {
        const within = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS_MAX)])
        const body = JSON.stringify({ organization })
        const { result } = await signedPost(url, body, { key, signal: within })
        const keys = keysOf(result)
        if (known.size >= KNOWN_MAX) known.clear()
        known.set(organization, { atMs: clock.monotonicMs(), keys })
        return keys
      } catch (error) {
        signal.throwIfAborted()
        last = error // of the last one: the others are tried first
      }
    }
    if (errorCode(last) === 'flyd.host_unreached' && before !== undefined) return before.keys
    throw last
  }
}

const keysOf = (result: unknown) =>
  ((result as { keys?: readonly string[] }).keys ?? []).map((one) => Buffer.from(one, 'base64'))
