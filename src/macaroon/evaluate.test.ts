import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { parseAccess } from './access.ts'
import type { Caveat } from './caveat.ts'
import { caveatsFromJson, decodeCaveatSet } from './caveat-set.ts'
import type { DenialKind } from './denial.ts'
import { MacaroonError } from './errors.ts'
import { evaluateAccess } from './evaluate.ts'
import { appScope, clusterScope, expiryOf, organizationScope, userOf } from './scope.ts'

const nowMs = 1_700_000_000_000
type Expected = DenialKind | 'allow'

function judge(caveats: string | Caveat[], access: object): Expected[] {
  const list = typeof caveats === 'string' ? caveatsFromJson(caveats) : caveats
  const asked = parseAccess({ orgid: 1, action: 'r', ...access })
  const denials = evaluateAccess(list, asked, nowMs)
  return denials.length === 0 ? ['allow'] : denials.map(({ kind }) => kind)
}

const one = (type: string, body: unknown) => JSON.stringify([{ type, body }])
const ifPresent = (ifs: unknown[], otherwise: string) => one('IfPresent', { ifs, else: otherwise })
const machine = { appid: 1, machine: 'm' }
const machinesR = { type: 'Machines', body: { machines: { m: 'r' } } }

// biome-ignore format: a table
const cases: readonly (readonly [string, string, object, Expected])[] = [
  ['organisation 0 is any', one('Organization', { id: 0, mask: 'r' }), { orgid: 9 }, 'allow'],
  ['apps {} with an app', one('Apps', { apps: {} }), { appid: 1 }, 'for_resource'],
  ['apps {} without', one('Apps', { apps: {} }), {}, 'unspecified'],
  ['apps null with an app', one('Apps', { apps: null }), { appid: 1 }, 'for_resource'],
  ['apps {0, 1} is a contradiction', one('Apps', { apps: { 0: 'r', 1: 'w' } }), {}, 'bad_caveat'],
  ['creating needs c on the wildcard', one('Apps', { apps: { 0: 'rw' } }), { appid: 0, action: 'c' }, 'for_action'],
  ['creating with c on it', one('Apps', { apps: { 0: 'c' } }), { appid: 0, action: 'c' }, 'allow'],
  ['a volume whose id begins like a listed one', one('Volumes', { volumes: { vol_1: 'r' } }), { appid: 1, volume: 'vol_12' }, 'for_resource'],
  ['prefixes a:rw and ab:r, write to abc', one('StorageObjects', { storage_objects: { a: 'rw', ab: 'r' } }), { storage_object: 'abc', action: 'w' }, 'for_action'],
  ['condition: no machine, create', ifPresent([machinesR], 'rc'), { action: 'c' }, 'allow'],
  ['condition: machine m, create', ifPresent([machinesR], 'rc'), { ...machine, action: 'c' }, 'for_action'],
  ['condition: machine x, read', ifPresent([machinesR], 'rc'), { ...machine, machine: 'x' }, 'for_resource'],
  ['condition: one of two present and failing', ifPresent([machinesR, { type: 'Apps', body: { apps: { 2: 'r' } } }], '*'), { appid: 1 }, 'for_resource'],
  ['condition on IsUser: else is dead', ifPresent([{ type: 'IsUser', body: { uint64: 1 } }], ''), { action: 'w' }, 'allow'],
  ['condition with a third party', ifPresent([{ type: '3P', body: { Location: 'x' } }], '*'), {}, 'bad_caveat'],
  ['condition with a binding', ifPresent([{ type: 'BindToParentToken', body: '' }], '*'), {}, 'bad_caveat'],
  ['condition with an attestation', ifPresent([{ type: 'FlyioUserID', body: 1 }], '*'), {}, 'bad_caveat'],
  ['condition on a source that is missing', ifPresent([{ type: 'FromMachineSource', body: { id: 'm' } }], '*'), {}, 'invalid_access'],
  ['mutations without one', one('Mutations', { mutations: ['a'] }), {}, 'unspecified'],
  ['mutations null', one('Mutations', { mutations: null }), { mutation: 'a' }, 'for_resource'],
  ['command longer than the prefix', one('Commands', [{ args: ['ls', '-l'] }]), { ...machine, command: ['ls', '-l', '/tmp'] }, 'allow'],
  ['command shorter than the prefix', one('Commands', [{ args: ['ls', '-l'] }]), { ...machine, command: ['ls'] }, 'for_resource'],
  ['command longer than the exact one', one('Commands', [{ args: ['ls'], exact: true }]), { ...machine, command: ['ls', '-l'] }, 'for_resource'],
  ['no commands deny all', one('Commands', []), { ...machine, command: ['ls'] }, 'for_resource'],
  ['the zero command allows all', one('Commands', [{}]), { ...machine, command: ['ls'] }, 'allow'],
  ['member reads billing', one('IsMember', {}), { feature: 'billing' }, 'allow'],
  ['member writes billing', one('IsMember', {}), { feature: 'billing', action: 'w' }, 'for_role'],
  ['member, feature unknown', one('IsMember', {}), { feature: 'x' }, 'for_role'],
  ['billing manager alone', one('AllowedRoles', 2), { feature: 'billing' }, 'for_role'],
  ['everything against rwcdC', one('Action', 'rwcdC'), { action: '*' }, 'for_action'],
  ['app and feature', '[]', { appid: 1, feature: 'wg' }, 'exclusive'],
  ['machine without app', '[]', { machine: 'm' }, 'unspecified'],
  ['command without machine', '[]', { appid: 1, command: [] }, 'unspecified'],
  ['cluster with another feature', '[]', { cluster: 'c', feature: 'wg' }, 'invalid_access'],
  ['source app missing', one('FlySrc', { app: 'a' }), {}, 'invalid_access'],
  ['source app differs', one('FlySrc', { app: 'a' }), { sourceApp: 'b' }, 'unauthorized'],
  ['source not restricted', one('FlySrc', {}), {}, 'allow'],
]

for (const [name, caveats, access, expected] of cases) {
  test(`judged as the original does: ${name}`, () => {
    assert.deepEqual(judge(caveats, access), [expected])
  })
}

test('a window ends after its last second, to the fraction', () => {
  const window: Caveat[] = [{ type: 'ValidityWindow', body: { notBefore: 10, notAfter: 20 } }]
  const at = (ms: number) => evaluateAccess(window, { action: 0, orgId: 1 }, ms).length
  assert.deepEqual([at(9_999), at(10_000), at(20_000), at(20_001)], [1, 0, 0, 1])
})

test('windows far outside of the calendar deny with a message', () => {
  const body = { notBefore: 0, notAfter: -(2n ** 63n) }
  const [denial] = evaluateAccess(
    [{ type: 'ValidityWindow', body }],
    { action: 0, orgId: 1 },
    nowMs,
  )
  assert.match(denial?.message ?? '', /only valid until second -9223372036854775808/)
})

test('a condition without caveats inside, which JSON refuses, denies from the wire', () => {
  const caveats = decodeCaveatSet(Buffer.from('920d92c01f', 'hex'))
  assert.deepEqual(judge(caveats, {}), ['bad_caveat'])
})

test('a storage prefix that ends within a character still matches by bytes', () => {
  const caveats = decodeCaveatSet(Buffer.from('921d9181a2e28201', 'hex')) // two bytes of €
  assert.deepEqual(judge(caveats, { storage_object: '€uro' }), ['allow'])
  assert.deepEqual(judge(caveats, { storage_object: 'euro' }), ['for_resource'])
})

test('ids beyond 2^53 are told apart', () => {
  const caveats = '[{"type":"Apps","body":{"apps":{"9007199254740993":"r"}}}]'
  const ask = (appid: string) =>
    evaluateAccess(caveatsFromJson(caveats), parseAccess(`{"orgid":1,"appid":${appid}}`), nowMs)
  assert.equal(ask('9007199254740993').length, 0)
  assert.equal(ask('9007199254740992').length, 1)
})

test('each denial names the caveat and the value', () => {
  const caveats = caveatsFromJson(
    '[{"type":"Organization","body":{"id":1,"mask":"*"}},{"type":"Apps","body":{"apps":{"1":"r"}}}]',
  )
  const [denial] = evaluateAccess(caveats, { action: 1, orgId: 1, appId: 3 }, nowMs)
  assert.equal(denial?.caveat, caveats[1])
  assert.equal(denial?.caveatIndex, 1)
  assert.deepEqual(denial?.values, { resource: 'app', asked: 3, only: [1] })
})

test('adding a caveat never allows what was denied', () => {
  const caveats = fc.constantFrom(...cases.map(([, json]) => json).filter((json) => json !== '[]'))
  const accesses = fc.constantFrom(...cases.map(([, , access]) => access))
  fc.assert(
    fc.property(fc.array(caveats, { maxLength: 5 }), caveats, accesses, (some, more, access) => {
      const before = judge(some.flatMap(caveatsFromJson), access)
      const after = judge([...some, more].flatMap(caveatsFromJson), access)
      if (after[0] === 'allow') assert.deepEqual(before, ['allow'])
    }),
  )
})

test('an access with a misspelt or wrongly typed field is refused', () => {
  for (const json of [
    '{"app":1}',
    '{"appid":"1"}',
    '{"appid":-1}',
    '{"command":"ls"}',
    '[]',
    '1',
    '{',
  ]) {
    assert.throws(
      () => parseAccess(json),
      (error) => error instanceof MacaroonError && error.code === 'macaroon.bad_access',
      json,
    )
  }
  assert.deepEqual(parseAccess('{"orgid":null,"action":"rx"}'), { action: 1 })
})

const organization = (id: number) => ({ type: 'Organization', body: { id, mask: 0 } }) as const
const unscoped = (text: string) => (error: unknown) =>
  error instanceof MacaroonError && error.code === 'macaroon.unscoped' && error.what === text

test('the scope of a token is what all its caveats agree on', () => {
  assert.equal(organizationScope([organization(6), organization(0)]), 6)
  const nested: Caveat = { type: 'IfPresent', body: { ifs: [organization(4)], else: 0 } }
  assert.equal(organizationScope([nested]), 4)
  assert.throws(() => organizationScope([]), unscoped('token must be constrained to org'))
  assert.throws(
    () => organizationScope([organization(0), organization(6)]),
    unscoped('unauthorized for org 0, only 6'),
  )
  const apps = (...ids: number[]): Caveat => ({
    type: 'Apps',
    body: { apps: new Map(ids.map((id) => [id, 1])) },
  })
  assert.equal(appScope([]), undefined)
  assert.equal(appScope([apps(0)]), undefined)
  assert.deepEqual(appScope([apps(0), apps(4)]), [4])
  assert.deepEqual(appScope([apps(1, 2, 3), apps(2, 3, 4)]), [2, 3])
  assert.deepEqual(appScope([apps(1), apps(2)]), [])
  assert.equal(clusterScope([]), undefined)
  const user = (id: number): Caveat => ({ type: 'IsUser', body: { id } })
  assert.equal(userOf([user(3), { type: 'FlyioUserID', body: 3 }]), 3)
  assert.throws(() => userOf([user(3), user(4)]), unscoped('multiple user IDs specified'))
  assert.throws(() => userOf([]), unscoped('user ID unspecified'))
  const window = (notAfter: number): Caveat => ({
    type: 'ValidityWindow',
    body: { notBefore: 0, notAfter },
  })
  assert.equal(expiryOf([window(9), window(7)]), 7)
})
