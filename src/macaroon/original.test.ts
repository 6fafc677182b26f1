import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { systemClock } from '#base'
import { parseAccess } from './access.ts'
import { authorize, verifyBundle } from './authorize.ts'
import {
  attenuateBundle,
  dischargeBundle,
  parseBundle,
  printBundle,
  undischargedTickets,
  withoutUseless,
} from './bundle.ts'
import {
  caveatsFromJson,
  caveatToJson,
  decodeCaveatSet,
  encodeCaveatSet,
  packCaveat,
} from './caveat-set.ts'
import { denialClasses } from './denial.ts'
import { MacaroonError } from './errors.ts'
import { type ExactJson, parseExactJson, printExactJson } from './exact-json.ts'
import { parseHeader } from './header.ts'
import { decodeMacaroon, encodeMacaroon } from './macaroon.ts'
import { openVerifier } from './verifier.ts'
import { verifyMacaroon } from './verify.ts'

/** Answers that the original library gave, recorded by running it. */
interface Recorded {
  readonly cases: readonly AccessCase[]
  readonly caveat_encodings: readonly CaveatEncoding[]
  readonly raw_tokens: readonly RawToken[]
  readonly headers: readonly HeaderCase[]
}

interface AccessCase {
  readonly name: string
  readonly key: string
  readonly kid: string
  readonly location: string
  readonly token: string
  readonly discharges: readonly string[]
  readonly trusted_third_parties?: Readonly<Record<string, readonly string[]>>
  readonly access: { readonly now: number; readonly now_nanos?: number }
  readonly expected: 'allow' | 'deny'
  readonly stage?: 'parse' | 'verify' | 'access' | 'crash'
  readonly error?: string
  readonly error_classes?: readonly string[]
  readonly verified_caveats?: ExactJson
}

interface CaveatEncoding {
  readonly type: number
  readonly name: string
  readonly json: ExactJson
  readonly msgpack_hex: string
}

interface RawToken {
  readonly name: string
  readonly token: string
  readonly result: 'ok' | 'decode-error' | 'verify-error' | 'crash'
}

interface HeaderCase {
  readonly name: string
  readonly header: string
  readonly strict_tokens: number
  readonly strict_error?: string
  readonly bundle_macaroons: number
  readonly bundle_other_tokens: number
  readonly bundle_malformed: number
}

const recorded = readFixture('macaroon-cases.json') as unknown as Recorded
const ROOT_KEY = Buffer.alloc(32, 0x11)

function readFixture(name: string): ExactJson {
  const path = new URL(`../../test/fixtures/macaroon/${name}`, import.meta.url)
  return parseExactJson(readFileSync(path, 'utf8'), 'macaroon.bad_caveat')
}

const base64 = (text: string) => Buffer.from(text, 'base64')

test('the recorded cases are all there', () => {
  assert.equal(recorded.cases.length, 216)
  assert.equal(recorded.caveat_encodings.length, 57)
  assert.equal(recorded.raw_tokens.length, 53)
  assert.equal(recorded.headers.length, 31)
})

for (const one of recorded.cases) {
  test(`access case ${one.name} ends as in the original`, () => {
    const { verified, outcome } = runCase(one)
    assert.equal(outcome.allowed ? 'allow' : 'deny', one.expected)
    const [verdict] = verified.verdicts.slice(-1)
    if (one.verified_caveats !== undefined && verdict?.verdict.verified) {
      const caveats = verdict.verdict.token.caveats.map(caveatToJson)
      assert.deepEqual(caveats, one.verified_caveats)
    }
    if (outcome.allowed) return
    if (one.stage === 'crash') return assert.equal(outcome.stage, 'access')
    assert.equal(outcome.stage, one.stage)
    if (one.stage === 'parse') return
    assert.equal(sortedIds(outcome.message), sortedIds(one.error ?? ''))
    const kinds = outcome.refusals.flatMap(({ denials = [] }) => denials.map(({ kind }) => kind))
    assert.deepEqual(
      new Set(kinds.flatMap((kind) => denialClasses(kind))),
      new Set(one.error_classes ?? []),
    )
  })
}

function runCase(one: AccessCase) {
  const { now, now_nanos: nanos = 0, ...fields } = one.access
  const header = [one.token, ...one.discharges].join(',')
  const trusted = new Map(
    Object.entries(one.trusted_third_parties ?? {}).map(([at, keys]) => [at, keys.map(base64)]),
  )
  const keyFor = (kid: Uint8Array) => (base64(one.kid).equals(kid) ? base64(one.key) : undefined)
  const verifier = openVerifier({ keyFor, trusted, clock: systemClock })
  const verified = verifyBundle(withoutUseless(parseBundle(header, one.location)), verifier)
  // A double has microseconds at this size: just after a second, and just before the next.
  const nowMs = now * 1000 + (nanos === 0 ? 0 : Math.min(999.999, Math.max(0.001, nanos / 1e6)))
  const accesses = [parseAccess(fields)]
  return { verified, outcome: authorize(verified, accesses, { nowMs, allowUnbound: true }) }
}

/** The order of ids in "only [..]" is random in the original. */
const sortedIds = (message: string) =>
  message.replace(/only \[([^\]]*)\]/g, (_all, ids: string) => ids.split(' ').sort().join(' '))

for (const [index, one] of recorded.caveat_encodings.entries()) {
  test(`caveat ${index} (${one.name}) packs to the original's bytes and prints its JSON`, () => {
    for (const type of [one.name, String(one.type)]) {
      const [caveat] = caveatsFromJson([{ type, body: one.json }])
      assert.ok(caveat !== undefined)
      assert.equal(packCaveat(caveat).toString('hex'), one.msgpack_hex)
      const [again] = caveatsFromJson([caveatToJson(caveat)])
      const stars = /\*/.test(printExactJson(one.json))
      if (!stars && again !== undefined) {
        assert.equal(packCaveat(again).toString('hex'), one.msgpack_hex)
      }
    }
  })
}

for (const one of recorded.raw_tokens) {
  test(`raw token "${one.name}" is ${one.result === 'ok' ? 'genuine' : 'refused'}`, () => {
    const bytes = base64(one.token.slice('fm2_'.length))
    if (one.result !== 'ok') return assert.equal(isGenuine(bytes), false)
    const macaroon = decodeMacaroon(bytes)
    assert.equal(verifyMacaroon(macaroon, ROOT_KEY).verified, true)
    assert.deepEqual(encodeMacaroon(macaroon), bytes)
    assert.deepEqual(macaroon.caveats.map(packCaveat), macaroon.packed.map(Buffer.from))
  })
}

function isGenuine(bytes: Buffer): boolean {
  try {
    return verifyMacaroon(decodeMacaroon(bytes), ROOT_KEY).verified
  } catch (error) {
    assert.ok(error instanceof MacaroonError)
    return false
  }
}

for (const one of recorded.headers) {
  test(`header "${one.name}" is read as in the original, strictly and as a bundle`, () => {
    const { tokens } = parseBundle(one.header)
    const count = (...kinds: string[]) => tokens.filter(({ kind }) => kinds.includes(kind)).length
    assert.equal(count('permission', 'discharge'), one.bundle_macaroons)
    assert.equal(count('other'), one.bundle_other_tokens)
    assert.equal(count('malformed'), one.bundle_malformed)
    if (one.strict_error === undefined) {
      assert.equal(parseHeader(one.header).length, one.strict_tokens)
    } else {
      const strictError = one.strict_error
      assert.throws(
        () => parseHeader(one.header),
        (error) => error instanceof MacaroonError && error.what === strictError,
      )
    }
  })
}

interface Published {
  readonly location: string
  readonly key: string
  readonly tp_key: string
  readonly kid: string
  readonly macaroons: Readonly<Record<string, string>>
  readonly attenuation: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly caveats: Readonly<Record<string, string>>
  readonly with_tps: string
}

const published = readFixture('macaroon.json') as unknown as Published

test('attenuating the published bundle gives the published headers', () => {
  let count = 0
  for (const [header, results] of Object.entries(published.attenuation)) {
    const bundle = parseBundle(header, published.location)
    for (const [packedSet, expected] of Object.entries(results)) {
      count += 1
      const attenuated = attenuateBundle(bundle, decodeCaveatSet(base64(packedSet)))
      assert.equal(printBundle(attenuated), expected, packedSet)
    }
  }
  assert.equal(count, 19)
})

test('the published caveat sets decode and encode to the same bytes', () => {
  for (const packed of Object.values(published.caveats)) {
    assert.equal(encodeCaveatSet(decodeCaveatSet(base64(packed))).toString('base64'), packed)
  }
})

test('the published token with third parties misses exactly one discharge', () => {
  const bundle = parseBundle(published.with_tps, published.location)
  assert.deepEqual(
    undischargedTickets(bundle).map(({ location }) => location),
    ['undischarged'],
  )
  const whole = dischargeBundle(bundle, {
    location: 'undischarged',
    sharedKey: base64(published.tp_key),
  })
  const keyFor = () => base64(published.key)
  const verified = verifyBundle(whole, openVerifier({ keyFor, clock: systemClock }))
  assert.deepEqual(
    verified.verdicts.map(({ verdict }) => verdict.verified),
    [true],
  )
})

test('the published tokens verify and encode again to the same bytes', () => {
  const key = base64(published.key)
  let verifiedCount = 0
  for (const [name, header] of Object.entries(published.macaroons)) {
    const [bytes = Buffer.alloc(0)] = parseHeader(header)
    const macaroon = decodeMacaroon(bytes)
    assert.deepEqual(encodeMacaroon(macaroon), bytes, name)
    const verdict = verifyMacaroon(macaroon, key)
    if (verdict.verified) verifiedCount += 1
    else if (name === 'BindToParentToken') {
      assert.equal(verdict.failure.reason, 'bound_to_other_token') // right tail, but alone
    } else assert.ok(macaroon.nonce.isProof, name) // its root key was not published
  }
  assert.equal(verifiedCount, 17)
})
