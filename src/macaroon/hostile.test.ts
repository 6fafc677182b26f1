import assert from 'node:assert/strict'
import test from 'node:test'
import { encode } from '@msgpack/msgpack'
import { systemClock } from '#base'
import { fc } from '#property'
import { authorize, requireAuthorized, verifyBundle } from './authorize.ts'
import { parseBundle, undischargedTickets, withoutUseless } from './bundle.ts'
import { extendChain, mint } from './chain.ts'
import { MacaroonError } from './errors.ts'
import { printExactJson } from './exact-json.ts'
import { inspectBundle } from './inspect.ts'
import { encodeMacaroon, printMacaroon } from './macaroon.ts'
import { appScope, clusterScope, organizationScope, userOf } from './scope.ts'
import { openVerifier } from './verifier.ts'

/**
 * Whoever holds a token can append any bytes as a caveat, under a right tail. So these tokens get
 * past the signature, as no random bytes do, and reach everything behind it.
 */
const key = Buffer.alloc(32, 0x11)
const base = mint({ key, kid: Buffer.of(1), location: 'https://api.fly.io/v1' })
const cache = { entriesMax: 10, ttlMs: 1000 }
const verifier = openVerifier({ keyFor: () => key, cache, clock: systemClock })

function forge(caveats: readonly Uint8Array[]): string {
  const tail = caveats.reduce<Uint8Array>(extendChain, base.tail)
  return printMacaroon({ ...base, packed: caveats, tail })
}

const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    fc.maxSafeInteger(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    fc.string({ unit: 'binary' }),
    fc.uint8Array({ maxLength: 40 }),
    fc.constant(null),
    fc.boolean(),
    fc.double(),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('any'), { maxKeys: 3 }),
  ),
})).any

const packed = (values: unknown[]) =>
  Buffer.concat(values.map((one) => encode(one, { useBigInt64: true })))
const number = fc.oneof(fc.integer({ min: 0, max: 35 }), fc.integer({ min: 0, max: 2 ** 20 }))
const shaped = fc.oneof(
  fc.tuple(number, value),
  fc.tuple(number, fc.array(value, { maxLength: 3 })),
  // Bodies that fit many types, so that the checks behind decoding are reached.
  fc.tuple(number, fc.array(fc.dictionary(fc.string(), fc.nat(65535)), { maxLength: 1 })),
  fc.tuple(number, fc.nat()),
  fc.tuple(number, fc.string()),
  fc.tuple(number, fc.tuple(fc.nat(), fc.nat(65535))),
)
const caveatBytes = fc.oneof(
  shaped.map(packed),
  fc.tuple(fc.array(shaped, { maxLength: 2 }), fc.nat(31)).map(([inner, mask]) => {
    return packed([13, [inner.flat(), mask]])
  }),
  fc.uint8Array({ maxLength: 20 }),
)

test('a token with any caveat under a right tail ends in an answer or a MacaroonError', () => {
  let verifiedCount = 0
  fc.assert(
    fc.property(fc.array(caveatBytes, { maxLength: 3 }), (caveats) => {
      const bundle = parseBundle(forge(caveats))
      printExactJson(inspectBundle(bundle))
      undischargedTickets(bundle)
      const verified = verifyBundle(withoutUseless(bundle), verifier)
      const accesses = [{ action: 1, orgId: 2n ** 63n, appId: 0, machine: '\udc80', command: [] }]
      authorize(verified, accesses, { nowMs: 0 })
      mustBeOurs(() => requireAuthorized(verified, accesses, { nowMs: 0 }))
      for (const { verdict } of verified.verdicts) {
        if (!verdict.verified) continue
        verifiedCount += 1
        for (const scope of [organizationScope, appScope, clusterScope, userOf]) {
          mustBeOurs(() => scope(verdict.token.caveats))
        }
      }
    }),
    { numRuns: 3000 },
  )
  assert.ok(verifiedCount > 300, `only ${verifiedCount} got past the signature`)
})

function mustBeOurs(work: () => unknown): void {
  try {
    work()
  } catch (error) {
    assert.ok(error instanceof MacaroonError, String(error))
    JSON.stringify(error) // as every API prints it
  }
}

test('a caveat array that claims 2^32-2 elements is refused without reserving them', () => {
  const bytes = encodeMacaroon(base)
  const at = bytes.lastIndexOf(Buffer.from('90c420', 'hex'))
  const claim = Buffer.from('ddfffffffe', 'hex')
  const text = Buffer.concat([bytes.subarray(0, at), claim, bytes.subarray(at + 1)])
  const { tokens } = parseBundle(`fm2_${text.toString('base64')}`)
  assert.ok(tokens[0]?.kind === 'malformed')
  assert.equal(tokens[0].error.code, 'macaroon.truncated')
})
