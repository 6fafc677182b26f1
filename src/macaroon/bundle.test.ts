import assert from 'node:assert/strict'
import test from 'node:test'
import { systemClock } from '#base'
import { fc } from '#property'
import { attenuateVerified, authorize, requireAuthorized, verifyBundle } from './authorize.ts'
import {
  addTokens,
  attenuateBundle,
  dischargeBundle,
  isMissingDischarge,
  onlyPermissionToken,
  parseBundle,
  permissionTokens,
  printBundle,
  selectTokens,
  undischargedTickets,
  withoutUseless,
} from './bundle.ts'
import { type Caveat, caveatsOf } from './caveat.ts'
import { mint } from './chain.ts'
import { MacaroonError } from './errors.ts'
import { parseHeader, printHeader, stripSchemes } from './header.ts'
import { inspectBundle } from './inspect.ts'
import { HEADER_CHARS_MAX, TOKENS_MAX } from './limits.ts'
import { type Macaroon, printMacaroon } from './macaroon.ts'
import { addThirdParty } from './third-party.ts'
import { openVerifier } from './verifier.ts'

const key = Buffer.alloc(32, 0x11)
const kid = Buffer.of(1)
const sharedKey = Buffer.alloc(32, 0x66)
const LOCATION = 'https://api.fly.io/v1'
const AUTH = 'https://auth.fly.io'
const nowMs = 1_700_000_000_000
const clock = systemClock
const verifier = openVerifier({ keyFor: () => key, clock })

const readOnly: Caveat = { type: 'Action', body: 1 }
const forOrg = (id: number, mask = 0x1f): Macaroon =>
  mint({ key, kid, location: LOCATION, caveats: [{ type: 'Organization', body: { id, mask } }] })
const withAuth = (token: Macaroon) => addThirdParty(token, { location: AUTH, sharedKey })
const header = (...tokens: (Macaroon | string)[]) =>
  tokens.map((one) => (typeof one === 'string' ? one : printMacaroon(one))).join(',')

const code = (expected: string) => (error: unknown) =>
  error instanceof MacaroonError && error.code === expected

const outcome = (text: string, accesses: { orgId: number; action: number }[], options = {}) =>
  authorize(verifyBundle(parseBundle(text), verifier), accesses, { nowMs, ...options })

test('any token of a bundle may allow, and rights of two are never combined', () => {
  const bundle = header(forOrg(1), forOrg(2, 1))
  assert.equal(outcome(bundle, [{ orgId: 2, action: 1 }]).allowed, true)
  assert.equal(outcome(bundle, [{ orgId: 2, action: 2 }]).allowed, false)
  const both = outcome(bundle, [
    { orgId: 1, action: 1 },
    { orgId: 2, action: 1 },
  ])
  assert.equal(both.allowed, false)
})

test('no access asked for is a mistake, not a permission', () => {
  assert.throws(() => outcome(header(forOrg(1)), []), code('macaroon.no_access_asked'))
})

test('a token without Organization caveat verifies and allows nothing', () => {
  const bare = printMacaroon(mint({ key, kid, location: LOCATION }))
  const access = [{ orgId: 1, action: 1 }]
  const refused = outcome(bare, access)
  assert.ok(!refused.allowed)
  assert.match(refused.message, /token must be constrained to org/)
  assert.equal(outcome(bare, access, { allowUnbound: true }).allowed, true)
})

test('refusals are errors with a code by stage, and their values print as JSON', () => {
  const require = (text: string, orgId: number | bigint) =>
    requireAuthorized(verifyBundle(parseBundle(text), verifier), [{ orgId, action: 1 }], { nowMs })
  assert.throws(() => require('fo1_x', 1), code('macaroon.permission_token_missing'))
  const forged = { ...forOrg(1), tail: Buffer.alloc(32) }
  assert.throws(() => require(header(forged), 1), code('macaroon.unverified'))
  assert.throws(
    () => require(header(forOrg(1)), 2n ** 63n),
    (error) => {
      assert.ok(error instanceof MacaroonError && error.code === 'macaroon.denied')
      const { values } = JSON.parse(JSON.stringify(error))
      assert.equal(values.refusals[0].denials[0].kind, 'for_resource')
      assert.equal(values.refusals[0].denials[0].values.asked, '9223372036854775808')
      return true
    },
  )
})

test('a token that was cut off says so, instead of looking revoked', () => {
  const whole = header(forOrg(1))
  const cut = whole.slice(0, -8) // still whole base64
  assert.throws(
    () => onlyPermissionToken(parseBundle(cut)),
    (error) => error instanceof MacaroonError && /cut off/.test(error.fix ?? ''),
  )
})

test('parsing and printing a bundle keeps each piece as it came', () => {
  const legacy = header(forOrg(2)).replace('fm2_', 'fm1r_')
  const text = header(forOrg(1), legacy, 'fo1_abc', 'other')
  assert.equal(printBundle(parseBundle(`  bearer FlyV1 ${text}`)), `FlyV1 ${text}`)
  assert.equal(printBundle(parseBundle('')), 'FlyV1 ')
  assert.equal(printBundle({ location: LOCATION, tokens: [] }), '')
})

test('useless tokens are dropped, foreign ones stay', () => {
  const token = withAuth(forOrg(1))
  const whole = dischargeBundle(parseBundle(header(token)), { location: AUTH, sharedKey })
  const orphan = dischargeBundle(parseBundle(header(withAuth(forOrg(1)))), {
    location: AUTH,
    sharedKey,
  }).tokens[1]
  assert.ok(orphan !== undefined)
  const messy = addTokens(whole, header(orphan.text, 'fo1_x'))
  const kinds = (tokens: readonly { kind: string }[]) => tokens.map(({ kind }) => kind)
  assert.deepEqual(kinds(messy.tokens), ['permission', 'discharge', 'discharge', 'other'])
  assert.deepEqual(kinds(withoutUseless(messy).tokens), ['permission', 'discharge', 'other'])
  const damaged = parseBundle(header('fm2_AAAA', forOrg(1)))
  assert.deepEqual(kinds(withoutUseless(damaged).tokens), ['permission'])
  assert.throws(() => addTokens(messy, 'fm2_AAAA'), MacaroonError)
})

test('tickets are undischarged until a discharge for each is there', () => {
  const bundle = parseBundle(header(withAuth(forOrg(1)), withAuth(forOrg(2))))
  assert.equal(undischargedTickets(bundle).length, 2)
  assert.equal(isMissingDischarge(bundle, AUTH), true)
  assert.equal(isMissingDischarge(bundle, 'https://else.example'), false)
  const whole = dischargeBundle(bundle, { location: AUTH, sharedKey })
  assert.equal(undischargedTickets(whole).length, 0)
  assert.equal(outcome(printBundle(whole), [{ orgId: 2, action: 1 }]).allowed, true)
  assert.throws(
    () => dischargeBundle(bundle, { location: AUTH, sharedKey: key }),
    code('macaroon.bad_ticket'),
  )
})

test('a selection takes tokens with their discharges only', () => {
  const tokens = header(withAuth(forOrg(1)), withAuth(forOrg(2)), 'fo1_x')
  const whole = dischargeBundle(parseBundle(tokens), { location: AUTH, sharedKey })
  const isOfTwo = ({ caveats }: Macaroon) =>
    caveatsOf(caveats, 'Organization').some(({ id }) => id === 2)
  const selected = selectTokens(whole, isOfTwo)
  assert.deepEqual(
    selected.tokens.map(({ kind }) => kind),
    ['permission', 'discharge'],
  )
  assert.equal(outcome(printBundle(selected), [{ orgId: 2, action: 1 }]).allowed, true)
})

test('attenuating narrows every permission token, or none when one is a proof', () => {
  const bundle = parseBundle(header(forOrg(1), forOrg(2)))
  const narrowed = attenuateBundle(bundle, [readOnly])
  assert.equal(outcome(printBundle(narrowed), [{ orgId: 1, action: 2 }]).allowed, false)
  assert.equal(outcome(printBundle(narrowed), [{ orgId: 2, action: 1 }]).allowed, true)
  const proof = mint({ key, kid, location: LOCATION, isProof: true })
  const mixed = parseBundle(header(forOrg(1), proof))
  assert.throws(() => attenuateBundle(mixed, [readOnly]), code('macaroon.finalized'))
})

test('a verified bundle that is attenuated is narrower at once, without its key', () => {
  const verified = verifyBundle(parseBundle(header(forOrg(1))), verifier)
  const write = [{ orgId: 1, action: 2 }]
  assert.equal(authorize(verified, write, { nowMs }).allowed, true)
  const narrowed = attenuateVerified(verified, [readOnly])
  assert.equal(authorize(narrowed, write, { nowMs }).allowed, false)
  assert.equal(authorize(verified, write, { nowMs }).allowed, true)
})

test('several permission tokens are not one', () => {
  const bundle = parseBundle(header(forOrg(1), forOrg(2)))
  assert.equal(permissionTokens(bundle).length, 2)
  assert.throws(() => onlyPermissionToken(bundle), code('macaroon.permission_token_repeated'))
})

test('a header of any text is read, or refused with a MacaroonError', () => {
  const token = header(forOrg(1))
  const pieces = fc.constantFrom(
    'FlyV1 ',
    'Bearer ',
    'fm2_',
    token,
    ',',
    '=',
    '_',
    ' ',
    'fo1_x',
    'A',
  )
  const texts = fc.oneof(
    fc.string(),
    fc.array(pieces, { maxLength: 12 }).map((all) => all.join('')),
  )
  fc.assert(
    fc.property(texts, (text) => {
      const bundle = parseBundle(text)
      verifyBundle(bundle, verifier)
      inspectBundle(bundle)
      try {
        parseHeader(text)
      } catch (error) {
        assert.ok(error instanceof MacaroonError)
      }
    }),
  )
})

test('headers beyond the limits are refused', () => {
  assert.throws(() => parseBundle('x'.repeat(HEADER_CHARS_MAX + 1)), code('macaroon.over_limit'))
  assert.throws(() => parseBundle(','.repeat(TOKENS_MAX)), code('macaroon.over_limit'))
})

test('schemes are stripped however often they come', () => {
  assert.equal(stripSchemes(' flyv1  Bearer FLYV1 x '), 'x')
  assert.equal(stripSchemes('FlyV1x'), 'FlyV1x')
  assert.equal(printHeader(['fo1_x']), 'Bearer fo1_x')
  assert.equal(printHeader([]), 'FlyV1 ')
})

test('inspecting shows what a token says and nothing that could be used', () => {
  const token = withAuth(forOrg(1))
  const [summary, other] = inspectBundle(parseBundle(header(token, 'fo1_secret')))
  assert.ok(summary?.kind === 'permission')
  assert.deepEqual(summary.thirdParties, [AUTH])
  assert.deepEqual(other, { kind: 'other', prefix: 'fo1' })
  const shown = JSON.stringify([summary, other])
  for (const encoding of ['base64', 'hex'] as const) {
    assert.ok(!shown.includes(Buffer.from(token.tail).toString(encoding)))
  }
  assert.ok(!shown.includes('secret'))
})
