import assert from 'node:assert/strict'
import test from 'node:test'
import { systemRandom } from '#base'
import type { Caveat } from './caveat.ts'
import { appendThirdParty, attenuate, mint } from './chain.ts'
import type { DischargeRequest } from './discharge-request.ts'
import { MacaroonError } from './errors.ts'
import { evaluateAccess, evaluateTicket } from './evaluate.ts'
import type { Macaroon } from './macaroon.ts'
import {
  addThirdParty,
  bindDischarge,
  bindingId,
  dischargeFor,
  mintDischarge,
  ticketsOf,
} from './third-party.ts'
import { openTicket, sealTicket } from './ticket.ts'
import { verifyMacaroon } from './verify.ts'
import { WorkBudget } from './work-budget.ts'

const key = Buffer.alloc(32, 0x11)
const kid = Buffer.of(1)
const sharedKey = Buffer.alloc(32, 0x66)
const LOCATION = 'https://api.fly.io/v1'
const AUTH = 'https://auth.fly.io'
const nowMs = 1_700_000_000_000

const organization: Caveat = { type: 'Organization', body: { id: 1, mask: 0x1f } }
const readOnly: Caveat = { type: 'Action', body: 1 }

const mintToken = () => mint({ key, kid, location: LOCATION, caveats: [organization] })
const withAuth = (ticketCaveats: Caveat[] = []) =>
  addThirdParty(mintToken(), { location: AUTH, sharedKey, ticketCaveats })

const ticketOf = (token: Macaroon) => ticketsOf(token.caveats)[0]?.ticket ?? new Uint8Array(0)

function dischargeOf(token: Macaroon, caveats: Caveat[] = []): Macaroon {
  const sealedTicket = ticketOf(token)
  const ticket = openTicket(sharedKey, sealedTicket)
  return mintDischarge({ location: AUTH, sealedTicket, ticket, caveats })
}

/** A discharge of the older kind: the holder can add to it. */
function openDischargeOf(token: Macaroon): Macaroon {
  const { dischargeKey } = openTicket(sharedKey, ticketOf(token))
  return mint({ key: dischargeKey, kid: ticketOf(token), location: AUTH })
}

const code = (expected: string) => (error: unknown) =>
  error instanceof MacaroonError && error.code === expected

const reasonOf = (verdict: ReturnType<typeof verifyMacaroon>) =>
  verdict.verified ? 'verified' : verdict.failure.reason

test('a token with a third party needs its discharge, also when it is attenuated later', () => {
  const token = withAuth()
  const discharge = dischargeOf(token)
  assert.equal(reasonOf(verifyMacaroon(token, key)), 'undischarged')
  assert.equal(reasonOf(verifyMacaroon(token, key, [discharge])), 'verified')
  const narrowed = attenuate(token, [readOnly])
  assert.equal(reasonOf(verifyMacaroon(narrowed, key, [discharge])), 'verified')
})

test('the second discharge counts when the first is bad, and both errors show when both are', () => {
  const token = withAuth()
  const good = dischargeOf(token)
  const bad = { ...good, tail: Buffer.alloc(32) }
  assert.equal(reasonOf(verifyMacaroon(token, key, [bad, good])), 'verified')
  const verdict = verifyMacaroon(token, key, [bad, bad])
  assert.ok(!verdict.verified)
  const line = 'macaroon verify: verify discharge: macaroon verify: invalid'
  assert.equal(verdict.failure.message, `${line}\n${line}`)
})

test('a discharge bound to a token is good for it and its descendants, not for others', () => {
  const token = withAuth()
  const bound = bindDischarge(openDischargeOf(token), token)
  assert.equal(reasonOf(verifyMacaroon(token, key, [bound])), 'verified')
  const child = attenuate(token, [readOnly])
  assert.equal(reasonOf(verifyMacaroon(child, key, [bound])), 'verified')
  const boundToChild = bindDischarge(openDischargeOf(token), child)
  assert.equal(reasonOf(verifyMacaroon(token, key, [boundToChild])), 'bound_to_other_token')
  const sibling = attenuate(token, [{ type: 'Action', body: 3 }])
  assert.equal(reasonOf(verifyMacaroon(sibling, key, [boundToChild])), 'bound_to_other_token')
  const proof = dischargeOf(token, [{ type: 'BindToParentToken', body: bindingId(token) }])
  assert.equal(reasonOf(verifyMacaroon(token, key, [proof])), 'verified')
})

test('a binding of any length matches by prefix, none longer than a digest', () => {
  const token = withAuth()
  const digest = bindingId(token)
  const bindings = [
    [Buffer.alloc(0), 'verified'],
    [digest.subarray(0, 1), 'verified'],
    [Buffer.concat([digest, Buffer.alloc(17)]), 'bound_to_other_token'],
  ] as const
  for (const [body, expected] of bindings) {
    const discharge = dischargeOf(token, [{ type: 'BindToParentToken', body }])
    assert.equal(reasonOf(verifyMacaroon(token, key, [discharge])), expected)
  }
})

test('attestations are believed from a trusted third party only', () => {
  const token = withAuth()
  const discharge = dischargeOf(token, [{ type: 'FlyioUserID', body: 7 }])
  const saidBy = (trusted: ReadonlyMap<string, readonly Uint8Array[]>) => {
    const verdict = verifyMacaroon(token, key, [discharge], trusted)
    assert.ok(verdict.verified)
    return verdict.token.caveats.map(({ type }) => type)
  }
  assert.deepEqual(saidBy(new Map()), ['Organization'])
  assert.deepEqual(saidBy(new Map([[AUTH, [Buffer.alloc(32)]]])), ['Organization'])
  assert.deepEqual(saidBy(new Map([[AUTH, [Buffer.alloc(32), sharedKey]]])), [
    'Organization',
    'FlyioUserID',
  ])
  const elsewhere = { ...discharge, location: 'https://evil.example' }
  const trusted = new Map([[AUTH, [sharedKey]]])
  const verdict = verifyMacaroon(token, key, [elsewhere], trusted)
  assert.deepEqual(verdict.verified && verdict.token.caveats.length, 1)
})

test('a holder who seals his own key under a foreign ticket is found out where trust is at stake', () => {
  const ticket = ticketOf(withAuth())
  const dischargeKey = Buffer.alloc(32, 9)
  const token = appendThirdParty(
    mintToken(),
    { location: AUTH, ticket, dischargeKey },
    systemRandom,
  )
  const attestation: Caveat = { type: 'FlyioUserID', body: 1 }
  const discharge = mint({
    key: dischargeKey,
    kid: ticket,
    location: AUTH,
    isProof: true,
    caveats: [attestation],
  })
  const trusting = verifyMacaroon(token, key, [discharge], new Map([[AUTH, [sharedKey]]]))
  assert.equal(reasonOf(trusting), 'discharge_key_mismatch')
  const other = verifyMacaroon(token, key, [discharge])
  assert.deepEqual(other.verified && other.token.caveats, [organization])
})

test('a wrong root key shows at the verifier key, before the tail', () => {
  const token = withAuth()
  const verdict = verifyMacaroon(token, Buffer.alloc(32), [dischargeOf(token)])
  assert.equal(reasonOf(verdict), 'verifier_key_unreadable')
})

test('tickets open with the shared key only, and damage shows', () => {
  const sealed = sealTicket(sharedKey, { dischargeKey: key, caveats: [readOnly] }, systemRandom)
  assert.deepEqual(openTicket(sharedKey, sealed).caveats, [readOnly])
  assert.deepEqual(openTicket(sharedKey, sealed).dischargeKey, key)
  for (const length of [0, 5, 12, 13, 27, 28, sealed.length - 1]) {
    const cut = sealed.subarray(0, length)
    assert.throws(() => openTicket(sharedKey, cut), code('macaroon.bad_ticket'), `${length}`)
  }
  assert.throws(() => openTicket(key, sealed), code('macaroon.bad_ticket'))
  assert.throws(() => openTicket(key.subarray(1), sealed), code('macaroon.bad_key'))
})

const login: DischargeRequest = {
  flyio: [{ userId: 7, organizationIds: [1, 2] }],
  google: [{ hd: 'example.com', userId: 5, email: 'a@example.com' }],
  github: [{ orgIds: [9], userId: 3, login: 'a' }],
  expiryMs: nowMs + 600_000,
}

// biome-ignore format: a table
const ticketCases: readonly (readonly [Caveat, string | undefined])[] = [
  [{ type: 'ConfineUser', body: { id: 7 } }, undefined],
  [{ type: 'ConfineUser', body: { id: 8 } }, 'must authenticate with Fly.io account 8 (got 7)'],
  [{ type: 'ConfineOrganization', body: { id: 2 } }, undefined],
  [{ type: 'ConfineOrganization', body: { id: 3 } }, 'must authenticate with Fly.io account with access to organization 3 (got 1,2)'],
  [{ type: 'ConfineGoogleHD', body: 'example.com' }, undefined],
  [{ type: 'ConfineGoogleHD', body: 'Example.com' }, 'must authenticate with Example.com Google account (got example.com)'],
  [{ type: 'ConfineGitHubOrg', body: 9 }, undefined],
  [{ type: 'ConfineGitHubOrg', body: 1 }, 'must authenticate with GitHub account with access to organization 1 (got 9)'],
  [{ type: 'MaxValidity', body: 600 }, undefined],
  [{ type: 'MaxValidity', body: 599 }, 'unauthorized: 600s exceeds max validity window (599s)'],
  [{ type: 'unknown', number: 200, body: Buffer.of(1) }, 'unauthorized: bad caveat (unregistered)'],
  [organization, 'unauthorized: bad data for token verification'],
  [readOnly, 'unauthorized: bad data for token verification'],
]

test('a third party judges the caveats of a ticket, and refuses those that it does not know', () => {
  for (const [caveat, message] of ticketCases) {
    const [denial] = evaluateTicket([caveat], login, nowMs)
    assert.equal(denial?.message, message)
  }
  const nobody = { expiryMs: nowMs }
  const [denial] = evaluateTicket([{ type: 'ConfineUser', body: { id: 8 } }], nobody, nowMs)
  assert.equal(denial?.message, 'must authenticate with Fly.io account 8')
  assert.equal(denial?.kind, 'unauthenticated')
})

test('a third party discharges for whom the ticket names, and for nobody else', () => {
  const token = withAuth([{ type: 'ConfineUser', body: { id: 7 } }])
  const options = { location: AUTH, sharedKey, sealedTicket: ticketOf(token) }
  const discharge = dischargeFor(options, login, nowMs)
  assert.equal(reasonOf(verifyMacaroon(token, key, [discharge])), 'verified')
  assert.throws(
    () => dischargeFor(options, { expiryMs: nowMs }, nowMs),
    code('macaroon.third_party_refused'),
  )
})

test('an expired discharge verifies, and denies', () => {
  const token = withAuth()
  const body = { notBefore: 0, notAfter: nowMs / 1000 - 1 }
  const verdict = verifyMacaroon(token, key, [
    dischargeOf(token, [{ type: 'ValidityWindow', body }]),
  ])
  assert.ok(verdict.verified)
  const [denial] = evaluateAccess(verdict.token.caveats, { action: 1, orgId: 1 }, nowMs)
  assert.equal(denial?.kind, 'unauthorized')
})

test('third parties and discharges that all match each other cost no more than the budget', () => {
  const dischargeKey = Buffer.alloc(32, 9)
  const ticket = Buffer.alloc(64, 1)
  let token = mintToken()
  for (let party = 0; party < 100; party += 1) {
    const location = `https://${party}.example`
    token = appendThirdParty(token, { location, ticket, dischargeKey }, systemRandom)
  }
  const good = mint({ key: dischargeKey, kid: ticket, location: AUTH })
  const bad = { ...good, tail: Buffer.alloc(32) }
  const bads = (count: number) => Array.from({ length: count }, () => bad)
  assert.equal(reasonOf(verifyMacaroon(token, key, [...bads(10), good])), 'verified')
  assert.equal(reasonOf(verifyMacaroon(token, key, [...bads(300), good])), 'over_budget')
})

test('all tokens of one header share one budget', () => {
  const caveats = Array.from(
    { length: 500 },
    (_none, id) => ({ type: 'IsUser', body: { id } }) as const,
  )
  const one = mint({ key, kid, location: LOCATION, caveats })
  const work = new WorkBudget()
  const verdicts = Array.from({ length: 50 }, () =>
    reasonOf(verifyMacaroon(one, key, [], new Map(), work)),
  )
  assert.equal(verdicts[0], 'verified')
  assert.equal(verdicts[49], 'over_budget')
})
