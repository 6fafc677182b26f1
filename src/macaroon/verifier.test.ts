import assert from 'node:assert/strict'
import test from 'node:test'
import type { Clock } from '#base'
import { verifyBundle } from './authorize.ts'
import { parseBundle } from './bundle.ts'
import type { Caveat } from './caveat.ts'
import { attenuate, mint } from './chain.ts'
import { evaluateAccess } from './evaluate.ts'
import { decodeMacaroon, encodeMacaroon, type Macaroon } from './macaroon.ts'
import type { Nonce } from './nonce.ts'
import { addThirdParty, mintDischarge, ticketsOf } from './third-party.ts'
import { openTicket } from './ticket.ts'
import { openVerifier, type VerifierOptions } from './verifier.ts'

const key = Buffer.alloc(32, 0x11)
const kid = Buffer.of(1)
const sharedKey = Buffer.alloc(32, 0x66)
const startMs = 1_700_000_000_000

/** Time that stands still until it is moved. */
function handClock(): Clock & { advance(ms: number): void } {
  let nowMs = startMs
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs - startMs,
    setTimer: () => ({ [Symbol.dispose]: () => assert.fail('no timer was expected') }),
    sleep: () => assert.fail('no sleep was expected'),
    advance: (ms) => {
      nowMs += ms
    },
  }
}

function setUp(options: Partial<VerifierOptions> = {}) {
  const clock = handClock()
  const cache = { entriesMax: 3, ttlMs: 60_000 }
  return { clock, verifier: openVerifier({ keyFor: () => key, cache, clock, ...options }) }
}

const mintFor = (id: number, more: Caveat[] = []) =>
  mint({
    key,
    kid,
    location: 'x',
    caveats: [{ type: 'Organization', body: { id, mask: 31 } }, ...more],
  })

const reasonOf = (verdict: ReturnType<ReturnType<typeof openVerifier>['verify']>) =>
  verdict.verified ? 'verified' : verdict.failure.reason

test('a token with an unknown key is refused with its key id', () => {
  const { verifier } = setUp({ keyFor: () => undefined })
  const verdict = verifier.verify(mintFor(1), [])
  assert.deepEqual(!verdict.verified && verdict.failure, {
    reason: 'unknown_key',
    message: 'unknown KID 01',
  })
})

test('the same token is verified once while it is remembered', () => {
  const { clock, verifier } = setUp()
  const token = mintFor(1)
  assert.equal(reasonOf(verifier.verify(token, [])), 'verified')
  assert.equal(reasonOf(verifier.verify(decodeMacaroon(encodeMacaroon(token)), [])), 'verified')
  assert.deepEqual(verifier.cacheFigures, { entries: 1, hits: 1, misses: 1 })
  clock.advance(60_000)
  verifier.verify(token, [])
  assert.equal(verifier.cacheFigures.misses, 2)
})

test('the cache holds no more than it may and drops what was not used', () => {
  const { verifier } = setUp()
  const tokens = [1, 2, 3].map((id) => mintFor(id)) as [Macaroon, Macaroon, Macaroon]
  for (const token of tokens) verifier.verify(token, [])
  verifier.verify(tokens[0], [])
  verifier.verify(mintFor(4), [])
  assert.equal(verifier.cacheFigures.entries, 3)
  verifier.verify(tokens[0], [])
  assert.equal(verifier.cacheFigures.hits, 2)
  verifier.verify(tokens[1], [])
  assert.equal(verifier.cacheFigures.hits, 2)
})

test('a token is forgotten when its window ends', () => {
  const { clock, verifier } = setUp()
  const notAfter = startMs / 1000 + 10
  const token = mintFor(1, [{ type: 'ValidityWindow', body: { notBefore: 0, notAfter } }])
  verifier.verify(token, [])
  clock.advance(10_000)
  verifier.verify(token, [])
  assert.equal(verifier.cacheFigures.hits, 1)
  clock.advance(1)
  verifier.verify(token, [])
  assert.equal(verifier.cacheFigures.hits, 1)
  assert.equal(verifier.cacheFigures.entries, 0)
})

test('a failure is not remembered: a discharge or a key that comes later counts', () => {
  let known: Uint8Array | undefined
  const { verifier } = setUp({ keyFor: () => known })
  const token = addThirdParty(mintFor(1), { location: 'auth', sharedKey })
  assert.equal(reasonOf(verifier.verify(token, [])), 'unknown_key')
  known = key
  assert.equal(reasonOf(verifier.verify(token, [])), 'undischarged')
  assert.equal(reasonOf(verifier.verify(token, [dischargeOf(token)])), 'verified')
})

function dischargeOf(token: Macaroon): Macaroon {
  const sealedTicket = ticketsOf(token.caveats)[0]?.ticket ?? new Uint8Array(0)
  const ticket = openTicket(sharedKey, sealedTicket)
  return mintDischarge({ location: 'auth', sealedTicket, ticket })
}

test('what is remembered is remembered for these discharges and this key only', () => {
  let current: Uint8Array = key
  const { verifier } = setUp({ keyFor: () => current })
  const token = addThirdParty(mintFor(1), { location: 'auth', sharedKey })
  const discharge = dischargeOf(token)
  assert.equal(reasonOf(verifier.verify(token, [discharge])), 'verified')
  assert.equal(reasonOf(verifier.verify(token, [])), 'undischarged')
  const forged = { ...discharge, tail: Buffer.alloc(32) }
  assert.equal(reasonOf(verifier.verify(token, [forged])), 'bad_signature')
  current = Buffer.alloc(32)
  assert.equal(reasonOf(verifier.verify(token, [discharge])), 'verifier_key_unreadable')
})

test('a forged token with the tail of a remembered one meets no entry', () => {
  const { verifier } = setUp()
  const token = attenuate(mintFor(1), [{ type: 'Action', body: 1 }])
  verifier.verify(token, [])
  const forged = { ...token, caveats: token.caveats.slice(0, 1), packed: token.packed.slice(0, 1) }
  assert.equal(reasonOf(verifier.verify(forged, [])), 'bad_signature')
})

test('attenuating what came from the cache does not change the cache', () => {
  const { verifier } = setUp()
  const token = mintFor(1)
  verifier.verify(token, [])
  const hit = verifier.verify(token, [])
  assert.ok(hit.verified)
  attenuate(hit.token.macaroon, [{ type: 'Action', body: 1 }])
  const again = verifier.verify(token, [])
  assert.ok(again.verified)
  const write = { orgId: 1, action: 2 }
  assert.deepEqual(evaluateAccess(again.token.caveats, write, startMs), [])
})

test('a revoked id refuses the token and all made from it, remembered or not', () => {
  const revoked = new Set<string>()
  const keyOf = ({ packed }: Nonce) => Buffer.from(packed).toString('hex')
  const { verifier } = setUp({
    revocations: { statusOf: (nonce) => (revoked.has(keyOf(nonce)) ? 'revoked' : 'live') },
  })
  const token = mintFor(1)
  const child = attenuate(token, [{ type: 'Action', body: 1 }])
  verifier.verify(token, [])
  verifier.verify(child, [])
  assert.equal(verifier.cacheFigures.entries, 2)
  revoked.add(keyOf(token.nonce))
  assert.equal(reasonOf(verifier.verify(child, [])), 'revoked')
  assert.equal(reasonOf(verifier.verify(token, [])), 'revoked')
  assert.equal(verifier.cacheFigures.entries, 0)
})

test('another spelling of a token is the same token: remembered once, and revoked with it', () => {
  let isRevoked = false
  const { verifier } = setUp({
    revocations: { statusOf: () => (isRevoked ? 'revoked' : 'live') },
  })
  const bytes = encodeMacaroon(mintFor(1))
  const text = bytes.toString('base64')
  const longer = Buffer.concat([bytes, Buffer.of(0xc0, 0xff)]).toString('base64')
  const spellings = [
    `fm2_${text}`,
    `Bearer FlyV1 fm1r_${text}`,
    `fm2_${text.slice(0, 20)}\r\n${text.slice(20)}`,
    `fm1a_${longer}`,
    `fm2_${withUnusedBits(text)}`,
  ]
  const verdictsOf = (spelling: string) =>
    verifyBundle(parseBundle(spelling, 'x'), verifier).verdicts.map(({ verdict }) =>
      reasonOf(verdict),
    )
  for (const spelling of spellings) assert.deepEqual(verdictsOf(spelling), ['verified'], spelling)
  assert.deepEqual(verifier.cacheFigures, { entries: 1, hits: spellings.length - 1, misses: 1 })
  isRevoked = true
  for (const spelling of spellings) assert.deepEqual(verdictsOf(spelling), ['revoked'], spelling)
})

/** The last symbol before the padding with its lowest bit set, which no byte of the token is made of. */
function withUnusedBits(text: string): string {
  const at = text.indexOf('=') - 1
  assert.ok(at > 0, 'a text without padding has no unused bits')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  const next = alphabet[alphabet.indexOf(text[at] ?? '') + 1] ?? assert.fail('the last symbol')
  return `${text.slice(0, at)}${next}${text.slice(at + 1)}`
}

test('a revoked discharge refuses the token that needs it', () => {
  const token = addThirdParty(mintFor(1), { location: 'auth', sharedKey })
  const discharge = dischargeOf(token)
  const { verifier } = setUp({
    revocations: { statusOf: ({ isProof }) => (isProof ? 'revoked' : 'live') },
  })
  assert.equal(reasonOf(verifier.verify(token, [discharge])), 'revoked')
})

test('without news of revocations nothing is genuine and nothing is remembered', () => {
  let status: 'live' | 'unknown' = 'live'
  const { verifier } = setUp({ revocations: { statusOf: () => status } })
  const token = mintFor(1)
  verifier.verify(token, [])
  status = 'unknown'
  assert.equal(reasonOf(verifier.verify(token, [])), 'revocations_unknown')
  assert.equal(verifier.cacheFigures.entries, 0)
  status = 'live'
  assert.equal(reasonOf(verifier.verify(token, [])), 'verified')
})

test('forgetting an id drops the token and its descendants', () => {
  const { verifier } = setUp()
  const token = mintFor(1)
  verifier.verify(token, [])
  verifier.verify(attenuate(token, [{ type: 'Action', body: 1 }]), [])
  verifier.verify(mintFor(2), [])
  verifier.forget(token.nonce)
  assert.equal(verifier.cacheFigures.entries, 1)
  verifier.clear()
  assert.equal(verifier.cacheFigures.entries, 0)
})
