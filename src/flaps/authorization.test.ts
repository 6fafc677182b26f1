import assert from 'node:assert/strict'
import test from 'node:test'
import { Action, type Caveat, caveatsFromJson } from '#macaroon'
import { accessOf } from './access-rule.ts'
import type { Endpoint } from './endpoint.ts'
import { allEndpoints } from './endpoints/all.ts'
import { FlapsWorld } from './fixture/flaps-world.ts'
import { newToken, undischargedToken } from './fixture/memory-directory.ts'

/**
 * Every kind of token against every call of the API. What each kind may do is said here once, by the
 * kind of thing and the action, not by endpoint: a new endpoint is judged by the rule that it declares,
 * and one that declares something unheard of fails.
 */
const org = (id: number, mask = 0x1f): Caveat => ({ type: 'Organization', body: { id, mask } })
const appsOnly = (...ids: number[]): Caveat => ({
  type: 'Apps',
  body: { apps: new Map(ids.map((id) => [id, 0x1f])) },
})
const HERON = 1001
const TERN = 1002

type Expected = 'allow' | 401 | 403

interface TokenKind {
  readonly name: string
  readonly header: (machine: string) => string | null
  /** What becomes of a call with this rule; `asked` is its action. */
  readonly expect: (rule: Endpoint['access'], asked: number) => Expected
}

const always =
  (expected: Expected): TokenKind['expect'] =>
  () =>
    expected
const onRule =
  (judge: (rule: Endpoint['access'], asked: number) => boolean): TokenKind['expect'] =>
  (rule, asked) =>
    rule.on === 'token' || judge(rule, asked) ? 'allow' : 403

const isRead = (asked: number) => (asked & ~Action.read) === 0
const ofApp: readonly string[] = ['app', 'machine', 'newMachine', 'volume', 'newVolume']

const kinds: readonly TokenKind[] = [
  { name: 'none', header: () => null, expect: always(401) },
  { name: 'no macaroon', header: () => 'Bearer nonsense', expect: always(401) },
  { name: 'organisation', header: () => newToken([org(101)]), expect: always('allow') },
  {
    name: 'app',
    header: () => newToken([org(101), appsOnly(HERON)]),
    expect: onRule(({ on }) => ofApp.includes(on)),
  },
  {
    name: 'another app',
    header: () => newToken([org(101), appsOnly(TERN)]),
    expect: onRule(() => false),
  },
  {
    name: 'machine',
    header: (machine) =>
      newToken([
        org(101),
        appsOnly(HERON),
        { type: 'Machines', body: { machines: new Map([[machine, 0x1f]]) } },
      ]),
    expect: onRule(({ on }) => on === 'machine'),
  },
  {
    name: 'another machine',
    header: () =>
      newToken([
        org(101),
        { type: 'Machines', body: { machines: new Map([['00000000000000', 0x1f]]) } },
      ]),
    expect: onRule(() => false),
  },
  {
    name: 'read-only',
    header: () => newToken([org(101, Action.read)]),
    expect: onRule((_rule, asked) => isRead(asked)),
  },
  {
    name: 'attenuated to reading',
    header: () => newToken([org(101), ...caveatsFromJson('[{"type":"Action","body":"r"}]')]),
    expect: onRule((_rule, asked) => isRead(asked)),
  },
  {
    name: 'exec-only',
    header: () =>
      newToken([
        org(101),
        appsOnly(HERON),
        {
          type: 'IfPresent',
          body: {
            ifs: [{ type: 'Commands', body: [{ args: ['uname'], isExact: false }] }],
            else: Action.read,
          },
        },
      ]),
    expect: onRule(
      (rule, asked) =>
        ofApp.includes(rule.on) &&
        (isRead(asked) || (rule.on === 'machine' && rule.command !== undefined)),
    ),
  },
  {
    name: 'exec of something else',
    header: () =>
      newToken([org(101), { type: 'Commands', body: [{ args: ['reboot'], isExact: true }] }]),
    expect: onRule(() => false),
  },
  { name: 'expired', header: () => newToken([org(101), until(1)]), expect: always(401) },
  { name: 'not valid yet', header: () => newToken([org(101), from(4e9)]), expect: always(401) },
  { name: 'wrong organisation', header: () => newToken([org(202)]), expect: onRule(() => false) },
  {
    name: 'attenuated to another organisation',
    header: () => newToken([org(101), org(202)]),
    expect: always(403),
  },
  { name: 'bound to no organisation', header: () => newToken([]), expect: always(403) },
  {
    name: 'signed by somebody else',
    header: () => newToken([org(101)], Buffer.alloc(32, 1)),
    expect: always(401),
  },
  { name: 'tampered', header: () => tamper(newToken([org(101)])), expect: always(401) },
  { name: 'discharge missing', header: () => undischargedToken([org(101)]), expect: always(401) },
]

function until(notAfter: number): Caveat {
  return { type: 'ValidityWindow', body: { notBefore: 0, notAfter } }
}

function from(notBefore: number): Caveat {
  return { type: 'ValidityWindow', body: { notBefore, notAfter: 5e9 } }
}

/** One bit of the signature, the last bytes of a token. */
function tamper(header: string): string {
  const bytes = Buffer.from(header.slice('FlyV1 fm2_'.length), 'base64')
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1
  return `FlyV1 fm2_${bytes.toString('base64')}`
}

function requestOf({ path, example }: Endpoint, ids: { machine: string; volume: string }) {
  const values: Record<string, string> = {
    app: 'heron',
    org: 'birds',
    key: 'role',
    name: 'SECRET',
    ip: '192.0.2.1',
    ...ids,
  }
  const filled = path.replace('/v1', '').replaceAll(/:(\w+)/g, (_all, name: string) => {
    const value = values[name]
    assert(value !== undefined, `the matrix knows no value for :${name}`)
    return value
  })
  const query = new URLSearchParams(example?.query).toString()
  return { path: query === '' ? filled : `${filled}?${query}`, body: example?.body }
}

for (const endpoint of allEndpoints) {
  if (endpoint.access.on === 'nothing') continue
  test(`${endpoint.id} (${endpoint.method} ${endpoint.path}) asks every kind of token`, async () => {
    const asked = accessOf(endpoint.access, {
      orgId: 101,
      body: endpoint.example?.body ?? {},
    }).action
    await using world = await FlapsWorld.open()
    for (const kind of kinds) {
      const machine = await world.newMachine()
      const volume = await world.call('POST', '/apps/heron/volumes', {
        body: { name: 'data', require_unique_zone: false },
      })
      const { path, body } = requestOf(endpoint, { machine: machine.id, volume: volume.body.id })
      const token = kind.header(machine.id)
      const reply = await world.call(endpoint.method, path, { body, token })
      world.restoreApps() // an allowed call may have deleted one
      const expected = kind.expect(endpoint.access, asked)
      const seen = reply.status === 401 || reply.status === 403 ? reply.status : 'allow'
      assert.equal(seen, expected, `${kind.name}: ${reply.status} ${JSON.stringify(reply.body)}`)
      if (expected === 'allow') continue
      const error = expected === 401 ? 'Authenticate: token validation error' : 'unauthorized'
      assert.deepEqual(reply.body, { error })
    }
  })
}

test('calls that ask nobody are these, and no others', () => {
  const open = allEndpoints.filter(({ access }) => access.on === 'nothing').map(({ id }) => id)
  assert.deepEqual(open, ['Tokens_authenticate', 'Tokens_authorize'])
})

test('every call is in the OpenAPI document with what it needs, and the document has no others', async () => {
  await using world = await FlapsWorld.open()
  const { body } = await world.call('GET', '/openapi.json', { token: null })
  const documented = Object.entries(
    body.paths as Record<string, Record<string, { operationId: string; description: string }>>,
  ).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      assert.match(operation.description, /^Needs /)
      return `${operation.operationId} ${method.toUpperCase()} ${path}`
    }),
  )
  const declared = allEndpoints.map(
    ({ id, method, path }) => `${id} ${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`,
  )
  assert.deepEqual(documented.sort(), declared.sort())
  assert.equal(new Set(allEndpoints.map(({ id }) => id)).size, allEndpoints.length)
})

test('a call without a rule stops the server from being built', async () => {
  const { access: _access, ...without } = allEndpoints[0] as Endpoint
  const broken = without as unknown as Endpoint
  await assert.rejects(FlapsWorld.open({ endpoints: [broken] }), /says nothing of who may call it/)
})

test('who has no token makes the server read no body', async () => {
  await using world = await FlapsWorld.open()
  const body = 'x'.repeat(10_000_000)
  const reply = await world.call('POST', '/apps/heron/machines', { body, token: null })
  assert.equal(reply.status, 401)
})

test('rights of two tokens are never added up', async () => {
  await using world = await FlapsWorld.open()
  const reading = newToken([org(101, Action.read)])
  const elsewhere = newToken([org(202)]).replace('FlyV1 ', '')
  const token = `${reading},${elsewhere}`
  const reply = await world.call('POST', '/apps/heron/machines', {
    body: { config: { image: 'nginx' } },
    token,
  })
  assert.equal(reply.status, 403)
})

test('a lease shows its nonce only to those who may write', async () => {
  await using world = await FlapsWorld.open()
  const { id, nonce } = await world.newMachine({ lease_ttl: 60 })
  const path = `/apps/heron/machines/${id}/lease`
  assert.equal((await world.call('GET', path)).body.data.nonce, nonce)
  const reader = await world.call('GET', path, { token: newToken([org(101, Action.read)]) })
  assert.equal(reader.status, 200)
  assert.equal(reader.body.data.nonce, undefined)
})
