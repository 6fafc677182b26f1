import assert from 'node:assert/strict'
import test from 'node:test'
import { Action } from '#macaroon'
import type { Endpoint } from './endpoint.ts'
import { allEndpoints } from './endpoints/all.ts'
import { neededOf } from './fixture/access-needs.ts'
import { newToken } from './fixture/fixture-tokens.ts'
import { FlapsWorld } from './fixture/flaps-world.ts'
import { type Ids, org, tokenKinds } from './fixture/token-kinds.ts'

function requestOf({ path, example }: Endpoint, ids: Ids) {
  const values: Record<string, string> = {
    app: 'heron',
    org: 'birds',
    key: 'role',
    name: 'SECRET',
    ip: '192.0.2.1',
    policy: 'np_1',
    release: 'latest',
    label: 'app',
    hostname: 'www.example.com',
    token: '03e85a60-6543-5d42-997f-40607fe6e717',
    ...ids,
  }
  const filled = path.replace(/^\/v1/, '').replaceAll(/:(\w+)/g, (_all, name: string) => {
    const value = values[name]
    assert(value !== undefined, `the matrix knows no value for :${name}`)
    return value
  })
  const query = new URLSearchParams(example?.query).toString()
  return { path: query === '' ? filled : `${filled}?${query}`, body: example?.body }
}

async function newIds(world: FlapsWorld): Promise<Ids> {
  const machine = await world.newMachine()
  const body = { name: 'data', require_unique_zone: false }
  const volume = await world.call('POST', '/apps/heron/volumes', { body })
  return { machine: machine.id, volume: volume.body.id }
}

for (const endpoint of allEndpoints) {
  if (endpoint.access.on === 'nothing') continue
  test(`${endpoint.id} (${endpoint.method} ${endpoint.path}) asks every kind of token`, async () => {
    const call = neededOf(endpoint)
    await using world = await FlapsWorld.open()
    let ids: Ids | undefined
    for (const kind of tokenKinds) {
      ids ??= await newIds(world)
      const { path, body } = requestOf(endpoint, ids)
      const token = kind.header(ids)
      const reply = await world.call(endpoint.method, path, { body, token })
      const wanted = kind.expect(call)
      // Here all tokens are of another organisation than the operators'.
      const expected =
        call.on === 'operators' && wanted === 'allow' && kind.name !== 'any organisation'
          ? 403
          : wanted
      const seen = reply.status === 401 || reply.status === 403 ? reply.status : 'allow'
      assert.equal(seen, expected, `${kind.name}: ${reply.status} ${JSON.stringify(reply.body)}`)
      if (expected === 'allow') {
        if (!call.isRead) ids = undefined // it may have changed or destroyed them
        world.restoreApps()
        continue
      }
      const error = expected === 401 ? 'Authenticate: token validation error' : 'unauthorized'
      if (kind.error === undefined) assert.deepEqual(reply.body, { error })
      else assert.match(reply.body.error, new RegExp(`^${error}: .*${kind.error}`))
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
