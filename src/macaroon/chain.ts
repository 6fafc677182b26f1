import { type Random, systemRandom } from '#base'
import type { Caveat } from './caveat.ts'
import { kindOf, packCaveat } from './caveat-set.ts'
import { MacaroonError, overLimit } from './errors.ts'
import { hmacCaveat, hmacSha256 } from './hmac.ts'
import { CAVEATS_MAX, TOKEN_BYTES_MAX } from './limits.ts'
import { encodedBytesMax, type Macaroon } from './macaroon.ts'
import { makeNonce, NONCE_RANDOM_BYTES, type Nonce } from './nonce.ts'
import { seal } from './seal.ts'

/**
 * The chain of MACs that makes a token: whoever has the tail can add a link, nobody can remove one.
 *
 *   T0 = HMAC(root key, nonce)      Tn = HMAC(Tn-1, 92 caveat)
 *   proof: tail = HMAC("proof-signature-finalization", Tn), which ends the chain
 *
 * Source: Birgisson et al., Macaroons (NDSS 2014), section V; superfly/macaroon.
 */
export const startChain = (key: Uint8Array, nonce: Nonce): Buffer => hmacSha256(key, nonce.packed)

export const extendChain = (tail: Uint8Array, packed: Uint8Array): Buffer =>
  hmacCaveat(tail, packed)

const FINALIZATION_KEY = Buffer.from('proof-signature-finalization', 'ascii')

export const finalizeChain = (tail: Uint8Array): Buffer => hmacSha256(FINALIZATION_KEY, tail)

export interface MintOptions {
  /** The signing key. Any length; 32 random bytes are right. */
  readonly key: Uint8Array
  /** Names the key for verifiers. */
  readonly kid: Uint8Array
  readonly location: string
  readonly caveats?: readonly Caveat[]
  /** A discharge that nobody can add to. Only proofs may hold attestations. @default false */
  readonly isProof?: boolean
  readonly random?: Random
}

/**
 * A new token. Without an Organization caveat it would open every door, and #macaroon refuses to
 * authorize by it.
 *
 * @throws MacaroonError as `attenuate`
 */
export function mint(options: MintOptions): Macaroon {
  const { key, kid, location, caveats = [], isProof = false, random = systemRandom } = options
  const nonce = makeNonce(kid, random.bytes(NONCE_RANDOM_BYTES), isProof)
  const bare = { nonce, location, caveats: [], packed: [], tail: startChain(key, nonce) }
  const open = append(bare, caveats)
  return isProof ? { ...open, tail: finalizeChain(open.tail) } : open
}

/**
 * The same token with less power: needs no key. A caveat that is there already, byte by byte, is
 * not added again. A third-party caveat without verifier key cannot be added here: see
 * `addThirdParty`.
 *
 * @throws MacaroonError macaroon.finalized (a proof), macaroon.attestation_misplaced,
 *   macaroon.third_party_repeated (one location twice), macaroon.over_limit
 */
export function attenuate(macaroon: Macaroon, caveats: readonly Caveat[]): Macaroon {
  refuseProof(macaroon)
  return append(macaroon, caveats)
}

/** As `attenuate`, for a third-party caveat whose discharge key is sealed under the tail it gets. */
export function appendThirdParty(
  macaroon: Macaroon,
  party: { location: string; ticket: Uint8Array; dischargeKey: Uint8Array },
  random: Random,
): Macaroon {
  refuseProof(macaroon)
  const verifierKey = seal(macaroon.tail, party.dischargeKey, random)
  const body = { location: party.location, verifierKey, ticket: party.ticket }
  return append(macaroon, [{ type: '3P', body }])
}

function refuseProof(macaroon: Macaroon): void {
  if (!macaroon.nonce.isProof) return
  throw new MacaroonError('macaroon.finalized', {
    what: "can't add caveats to finalized proof",
    values: { location: macaroon.location },
    fix: 'attenuate the permission token that it discharges',
  })
}

function append(macaroon: Macaroon, caveats: readonly Caveat[]): Macaroon {
  const grown = { caveats: [...macaroon.caveats], packed: [...macaroon.packed] }
  let { tail } = macaroon
  for (const caveat of caveats) {
    const packed = packCaveat(caveat)
    if (grown.packed.some((one) => Buffer.compare(one, packed) === 0)) continue
    checkAddition(grown.caveats, caveat, macaroon.nonce.isProof)
    grown.caveats.push(caveat)
    grown.packed.push(packed)
    tail = extendChain(tail, packed)
  }
  const result = { ...macaroon, ...grown, tail }
  checkSize(result)
  return result
}

function checkAddition(present: readonly Caveat[], caveat: Caveat, isProof: boolean): void {
  if (kindOf(caveat)?.isAttestation && !isProof) {
    throw new MacaroonError('macaroon.attestation_misplaced', {
      what: 'cannot add attestations to non-proof macaroons',
      values: { type: caveat.type },
    })
  }
  const added = thirdPartyLocations([caveat])
  const locations = new Set(added.length === 0 ? [] : thirdPartyLocations(present))
  for (const location of added) {
    if (!locations.has(location)) continue
    throw new MacaroonError('macaroon.third_party_repeated', {
      what: `m.add: attempting to add multiple 3ps for ${location}`,
      fix: 'one third-party caveat for a location is enough: discharge that one',
    })
  }
}

/** Where the third parties are, those inside IfPresent included. */
export function thirdPartyLocations(caveats: readonly Caveat[]): string[] {
  return caveats.flatMap((caveat) => {
    if (caveat.type === '3P') return [caveat.body.location]
    return caveat.type === 'IfPresent' ? thirdPartyLocations(caveat.body.ifs ?? []) : []
  })
}

/** What we make must be what we accept. */
function checkSize(macaroon: Macaroon): void {
  const limits = [
    ['caveats', countCaveats(macaroon.caveats), CAVEATS_MAX],
    ['bytes', encodedBytesMax(macaroon), TOKEN_BYTES_MAX],
  ] as const
  for (const [what, got, limit] of limits) {
    if (got > limit) throw overLimit(`token would have too many ${what}`, { limit, got })
  }
}

function countCaveats(caveats: readonly Caveat[]): number {
  return caveats.reduce(
    (count, caveat) =>
      count + 1 + (caveat.type === 'IfPresent' ? countCaveats(caveat.body.ifs ?? []) : 0),
    0,
  )
}
