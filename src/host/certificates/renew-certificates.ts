import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Clock } from '#base'
import { type SignedRenewal, signRenewal, type TrustRow } from '#trust'
import { HostError } from '../errors.ts'
import { type HostConfig, hasRole } from '../host-config.ts'
import { askToRenew } from '../join/ask-gateway.ts'
import { gatewayUrl, ownGatewayUrl } from '../join/gateway-url.ts'
import { readHostSecrets, takeSecrets, trustOf } from './host-secrets.ts'

const ANSWER_MS = 20_000

/** What came of asking. */
export interface Renewed {
  /** As it is now. */
  readonly trust: TrustRow
  /** Files of its folder of secrets that are others now. */
  readonly changed: readonly string[]
  /** Hosts that must trust the cluster's new authority first. */
  readonly waitingFor: readonly string[]
}

const answerSchema = Type.Object({
  secrets: Type.Record(Type.String(), Type.String()),
  waiting_for: Type.Array(Type.String()),
})

/**
 * Asks a gateway what this host is to trust and to show, and takes it. A gateway asks itself.
 *
 * @param config with all members, joined ones too
 * @throws HostError host.gateway_away, host.renewal_refused, host.answer_bad
 */
export async function renewCertificates(
  config: HostConfig,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<Renewed> {
  const secrets = readHostSecrets(config)
  const { caPem, serverPem: server, clientPem: client, seed, serverKeyPem } = secrets
  const nowMs = clock.nowMs()
  const renewal = { host: config.host, at_ms: nowMs, server, client }
  const signed = signRenewal(renewal, { seed, serverKeyPem })
  const answer = await askOneOf(gatewaysOf(config), caPem, signed, signal)
  if (!Value.Check(answerSchema, answer)) {
    throw new HostError('host.answer_bad', {
      what: 'the gateway answered what this version does not understand',
      fix: 'use the same version of godwit on both',
    })
  }
  const isGateway = hasRole(config, 'gateway')
  const changed = await takeSecrets(config, answer.secrets, { isGateway, nowMs })
  const trust = trustOf(config.host, readHostSecrets(config), nowMs)
  return { trust, changed, waitingFor: answer.waiting_for }
}

/** Each gateway signs with files of its own: a host that is one has no need of another. */
function gatewaysOf(config: HostConfig): string[] {
  if (hasRole(config, 'gateway')) return [ownGatewayUrl(config)]
  const gateways = config.members.filter(({ roles }) => roles.includes('gateway'))
  return gateways.map(({ address }) => gatewayUrl(address))
}

/** The first that answers. */
async function askOneOf(
  urls: readonly string[],
  ca: string,
  signed: SignedRenewal,
  signal: AbortSignal,
): Promise<unknown> {
  let last: unknown
  for (const url of urls) {
    signal.throwIfAborted()
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)])
      return await askToRenew(url, ca, signed, within)
    } catch (error) {
      last = error
    }
  }
  throw last ?? new HostError('host.gateway_away', { what: 'this cluster has no gateway' })
}
