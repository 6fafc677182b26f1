import { createHmac, timingSafeEqual } from 'node:crypto'
import { decode, encode } from '@msgpack/msgpack'
import { systemClock } from '#base'
import {
  addThirdParty,
  attenuate,
  type Caveat,
  decodeMacaroon,
  dischargeBundle,
  encodeMacaroon,
  type Macaroon,
  mint,
  openVerifier,
  parseBundle,
  printBundle,
  printMacaroon,
  verifyBundle,
} from '#macaroon'
import { type Bench, type Figure, median } from './figures.ts'

const ROUNDS = 15
const ROUND_MS = 40
const COUNTS = [1, 5, 20] as const
const LOCATION = 'https://api.fly.io/v1'
const AUTH = 'https://auth.fly.io'
const key = Buffer.alloc(32, 1)
const sharedKey = Buffer.alloc(32, 2)

/**
 * From header text to a verified token, and attenuating from bytes to bytes. The peer does the same to
 * the same tokens with a general MessagePack library and createHmac, and checks less: neither the
 * forms of integers nor the types of caveats.
 */
export const bench: Bench = {
  name: 'macaroon',
  summary: 'verifying and attenuating tokens of 1, 5 and 20 caveats',
  async run(progress) {
    return COUNTS.flatMap((count) => {
      progress(`tokens of ${count} caveats`)
      return measure(count)
    })
  },
}

function measure(count: number): Figure[] {
  const token = mint({ key, kid: Buffer.of(1), location: LOCATION, caveats: caveatsOf(count) })
  const text = printMacaroon(token)
  const bytes = encodeMacaroon(token)
  const narrower: Caveat[] = [{ type: 'Action', body: 1 }]
  const verifier = openVerifier({ keyFor: () => key, clock: systemClock })
  const cache = { entriesMax: 100, ttlMs: 3_600_000 }
  const caching = openVerifier({ keyFor: () => key, cache, clock: systemClock })
  const discharged = withDischarge(token)
  const works = {
    verify: () => isVerified(text, verifier),
    verify_peer: () => peerVerify(text),
    verify_discharged: () => isVerified(discharged, verifier),
    verify_cached: () => isVerified(text, caching),
    attenuate: () => encodeMacaroon(attenuate(decodeMacaroon(bytes), narrower)).length > 0,
    attenuate_peer: () => peerAttenuate(bytes).length > 0,
  }
  const costs = interleaved(works)
  const figures = Object.entries(costs).map(([name, value]) => ({
    key: `${name}_${count}_us`,
    value,
    what: `${name.replaceAll('_', ' ')}, ${count} caveats`,
    better: 'lower' as const,
  }))
  return [
    ...figures,
    ratio(`ratio_verify_${count}_vs_msgpack`, costs.verify, costs.verify_peer),
    ratio(`ratio_attenuate_${count}_vs_msgpack`, costs.attenuate, costs.attenuate_peer),
  ]
}

function ratio(name: string, ours: number, peer: number): Figure {
  return { key: name, value: ours / peer, what: 'ours against peer', better: 'lower' }
}

function caveatsOf(count: number): Caveat[] {
  return Array.from({ length: count }, (_none, index): Caveat => {
    if (index === 0) return { type: 'Organization', body: { id: 123, mask: 31 } }
    if (index % 2 === 0) {
      return { type: 'ValidityWindow', body: { notBefore: index, notAfter: 2 ** 33 } }
    }
    // Text ids: general libraries turn integer keys of maps into text, and sign other bytes then.
    const features = new Map([`feature-${index}`, 'wg'].map((name) => [name, 31]))
    return { type: 'FeatureSet', body: { features } }
  })
}

function withDischarge(token: Macaroon): string {
  const open = printMacaroon(addThirdParty(token, { location: AUTH, sharedKey }))
  const caveats: Caveat[] = [{ type: 'ValidityWindow', body: { notBefore: 0, notAfter: 2 ** 33 } }]
  return printBundle(dischargeBundle(parseBundle(open), { location: AUTH, sharedKey, caveats }))
}

const isVerified = (text: string, verifier: ReturnType<typeof openVerifier>) =>
  verifyBundle(parseBundle(text), verifier).verdicts[0]?.verdict.verified === true

type PeerToken = [nonce: unknown, location: string, caveats: unknown[], tail: Uint8Array]

const hmac = (macKey: Uint8Array, message: Uint8Array) =>
  createHmac('sha256', macKey).update(message).digest()

const peerDecode = (bytes: Uint8Array) => decode(bytes) as PeerToken

function peerVerify(text: string): boolean {
  const bytes = Buffer.from(text.slice(text.indexOf('_') + 1), 'base64')
  const [nonce, , caveats, tail] = peerDecode(bytes)
  let mac = hmac(key, encode(nonce))
  for (let at = 0; at < caveats.length; at += 2) {
    mac = hmac(mac, encode([caveats[at], caveats[at + 1]]))
  }
  return timingSafeEqual(mac, tail)
}

function peerAttenuate(bytes: Uint8Array): Uint8Array {
  const [nonce, location, caveats, tail] = peerDecode(bytes)
  const mac = hmac(tail, encode([26, 1]))
  return encode([nonce, location, [...caveats, 26, 1], mac])
}

/** Microseconds of one run of each: the median of rounds in which all take turns. */
function interleaved<Name extends string>(works: Record<Name, () => boolean>) {
  const costs = new Map<string, number[]>()
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [name, work] of Object.entries<() => boolean>(works)) {
      const cost = costOf(name, work)
      if (round > 0) costs.set(name, [...(costs.get(name) ?? []), cost]) // round 0 warms up
    }
  }
  return Object.fromEntries([...costs].map(([name, all]) => [name, median(all)])) as Record<
    Name,
    number
  >
}

function costOf(name: string, work: () => boolean): number {
  const startedMs = performance.now()
  let runs = 0
  for (; performance.now() - startedMs < ROUND_MS; runs += 10) {
    for (let turn = 0; turn < 10; turn += 1) if (!work()) throw new Error(`${name} failed`)
  }
  return ((performance.now() - startedMs) / runs) * 1000
}
