import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import type { Caveat } from './caveat.ts'
import {
  caveatsFromJson,
  caveatToJson,
  decodeCaveatSet,
  encodeCaveatSet,
  packCaveat,
} from './caveat-set.ts'
import { MacaroonError } from './errors.ts'
import { printExactJson } from './exact-json.ts'
import { CAVEATS_MAX, NESTING_MAX } from './limits.ts'
import { wireInteger } from './wire-integer.ts'

const uint = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(wireInteger)
const int = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(wireInteger)
const mask = fc.integer({ min: 0, max: 0xffff })
const text = fc.string({ unit: 'binary' }).map((one) => one.toWellFormed())
const bytes = fc.uint8Array({ maxLength: 40 })
const sets = <Id>(ids: fc.Arbitrary<Id>) =>
  fc.oneof(
    fc.constant(null),
    fc.array(fc.tuple(ids, mask)).map((pairs) => new Map(pairs)),
  )
const texts = fc.oneof(fc.constant(null), fc.array(text, { maxLength: 20 }))
const caveat = (type: string, body: fc.Arbitrary<unknown>) =>
  fc.record({ type: fc.constant(type), body }, { noNullPrototype: true })
const bodyOf = (fields: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record(fields, { noNullPrototype: true })

const plainCaveats = fc.oneof(
  caveat('Organization', bodyOf({ id: uint, mask })),
  caveat('Volumes', bodyOf({ volumes: sets(text) })),
  caveat('Apps', bodyOf({ apps: sets(uint) })),
  caveat('ValidityWindow', bodyOf({ notBefore: int, notAfter: int })),
  caveat('FeatureSet', bodyOf({ features: sets(text) })),
  caveat('Mutations', bodyOf({ mutations: texts })),
  caveat('ConfineUser', bodyOf({ id: uint })),
  caveat('IsUser', bodyOf({ id: uint })),
  caveat('3P', bodyOf({ location: text, verifierKey: bytes, ticket: bytes })),
  caveat('BindToParentToken', bytes),
  caveat('FromMachineSource', bodyOf({ id: text })),
  caveat('ConfineGoogleHD', text),
  caveat('MaxValidity', uint),
  caveat('IsMember', fc.constant({})),
  caveat('GoogleUserID', fc.bigInt({ min: 0n, max: 2n ** 500n }).map(wireInteger)),
  caveat('Action', mask),
  caveat('Commands', fc.array(bodyOf({ args: texts, isExact: fc.boolean() }), { maxLength: 5 })),
  caveat('StorageObjects', bodyOf({ storageObjects: sets(text) })),
  caveat('AllowedRoles', fc.integer({ min: 0, max: 2 ** 32 - 1 })),
  caveat('FlySrc', bodyOf({ organization: text, app: text, instance: text })),
) as fc.Arbitrary<Caveat>

const anyCaveat = fc.letrec<{ caveat: Caveat }>((tie) => ({
  caveat: fc.oneof(
    { depthSize: 'small' },
    plainCaveats,
    caveat(
      'IfPresent',
      bodyOf({ ifs: fc.array(tie('caveat'), { maxLength: 4 }), else: mask }),
    ) as fc.Arbitrary<Caveat>,
  ),
})).caveat

const code = (expected: string) => (error: unknown) =>
  error instanceof MacaroonError && error.code === expected

test('any caveats survive the wire', () => {
  fc.assert(
    fc.property(fc.array(anyCaveat, { maxLength: 6 }), (caveats) => {
      const packed = encodeCaveatSet(caveats)
      const decoded = decodeCaveatSet(packed)
      assert.deepEqual(encodeCaveatSet(decoded), packed)
      assert.equal(printExactJson(decoded.map(caveatToJson)), printExactJson(decodeAgain(decoded)))
    }),
  )
})

const decodeAgain = (caveats: Caveat[]) =>
  decodeCaveatSet(encodeCaveatSet(caveats)).map(caveatToJson)

test('any caveats survive JSON, but for action bits without a letter and nil', () => {
  fc.assert(
    fc.property(plainCaveats, (one) => {
      const json = caveatToJson(one)
      const [back] = caveatsFromJson(printExactJson([json]))
      assert.deepEqual(back === undefined ? back : caveatToJson(back), json)
    }),
  )
})

test('any bytes give caveats that encode to them, or a MacaroonError', () => {
  const seeds = fc.array(anyCaveat, { maxLength: 3 }).map((caveats) => encodeCaveatSet(caveats))
  const mutated = fc.tuple(seeds, fc.nat(), fc.nat({ max: 255 })).map(([seed, at, byte]) => {
    const copy = Buffer.from(seed)
    copy[at % copy.length] = byte
    return copy
  })
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 64 })), (input) => {
      try {
        const packed = encodeCaveatSet(decodeCaveatSet(input))
        assert.deepEqual(packed, Buffer.from(input).subarray(0, packed.length))
      } catch (error) {
        assert.ok(error instanceof MacaroonError, String(error))
      }
    }),
    { numRuns: 2000 },
  )
})

test('the body of an unknown caveat is kept, whatever forms it uses', () => {
  for (const body of ['cc01', '92cc01cd0001', '810102', 'cb405ec00000000000', 'd90161', '80']) {
    const packed = Buffer.from(`92ccc8${body}`, 'hex')
    const [one, ...others] = decodeCaveatSet(packed)
    assert.equal(others.length, 0)
    assert.equal(one?.type, 'unknown')
    assert.deepEqual(encodeCaveatSet(one === undefined ? [] : [one]), packed)
  }
})

test('the wireguard condition of flyctl packs as published', () => {
  const json = `[{"type":"IfPresent","body":{"else":"r","ifs":[
    {"type":"Apps","body":{"apps":{}}},{"type":"FeatureSet","body":{"features":{"wg":"rwcdC"}}}]}}]`
  const [one] = caveatsFromJson(json)
  assert.ok(one !== undefined)
  assert.equal(packCaveat(one).toString('hex'), '0d9294039180059181a277671f01')
})

test('"*" and "rwcdC" pack differently', () => {
  const [star, letters] = caveatsFromJson([
    { type: 'Action', body: '*' },
    { type: 'Action', body: 'rwcdC' },
  ])
  assert.ok(star !== undefined && letters !== undefined)
  assert.notDeepEqual(packCaveat(star), packCaveat(letters))
  assert.deepEqual(caveatToJson(star), caveatToJson(letters))
})

test('JSON that would not mean what it says is refused', () => {
  const refusals = [
    '[{"type":"Apps","body":{"app":{"1":"r"}}}]', // misspelt field
    '[{"type":"Apps","body":{"apps":{"one":"r"}}}]',
    '[{"type":"Apps","body":{"apps":{"1":31}}}]', // masks are letters
    '[{"type":"Apps","body":null}]',
    '[{"type":"Apps"}]',
    '[{"type":"IfPresent","body":{"else":"r"}}]',
    '[{"type":"IfPresent","body":{"ifs":null,"else":"r"}}]',
    '[{"type":"Appz","body":{}}]',
    '[{"type":"200","body":1}]', // unknown types have no JSON form
    '[{"type":"Organization","body":{"id":-1,"mask":"r"}}]',
    '[{"type":"Organization","body":{"id":1.5,"mask":"r"}}]',
    '[{"type":"Organization","body":{"id":18446744073709551616,"mask":"r"}}]',
    '[{"type":"BindToParentToken","body":"AAE"}]', // unpadded
    '{"type":"Action","body":"r"}', // no list
    '[1]',
    'null',
    '[',
  ]
  for (const json of refusals) {
    assert.throws(() => caveatsFromJson(json), code('macaroon.bad_caveat'), json)
  }
})

test('older names and numbers of types are read', () => {
  const types = caveatsFromJson([
    { type: 'DeprecatedOrganization', body: { id: 1, mask: 'r' } },
    { type: 'DeprecatedApps', body: { apps: {} } },
    { type: 'NoAdminFeatures', body: {} },
    { type: '26', body: 'r' },
  ]).map(({ type }) => type)
  assert.deepEqual(types, ['Organization', 'Apps', 'IsMember', 'Action'])
})

test('a resource named __proto__ is an id like any other', () => {
  const json = '[{"type":"Machines","body":{"machines":{"__proto__":"r"}}}]'
  assert.equal(printExactJson(caveatsFromJson(json).map(caveatToJson)), json)
})

test('too many or too deeply nested caveats are refused', () => {
  const action: Caveat = { type: 'Action', body: 1 }
  const many = encodeCaveatSet(Array.from({ length: CAVEATS_MAX + 1 }, () => action))
  assert.throws(() => decodeCaveatSet(many), code('macaroon.over_limit'))
  let deep: Caveat = action
  for (let level = 0; level <= NESTING_MAX; level += 1) {
    deep = { type: 'IfPresent', body: { ifs: [deep], else: 0 } }
  }
  assert.throws(() => decodeCaveatSet(encodeCaveatSet([deep])), code('macaroon.over_limit'))
})
