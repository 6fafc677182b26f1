import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import test from 'node:test'
import { KeyRing, openAccounts } from '#accounts'
import { seededRandom, systemRandom } from '#base'
import { newKeyLine } from '#seal'
import { FlapsWorld } from '../fixture/flaps-world.ts'
import { accountsIdentity } from '../identity-provider.ts'
import { machineApiCall } from './machine-api-call.ts'
import { injectAsMachine } from './machine-source.ts'

/** What a machine of heron gets by its socket. */
function socketOf(world: FlapsWorld, machine: string) {
  const [server] = world.servers
  assert(server !== undefined)
  const call = machineApiCall({
    directory: world.directory,
    inject: (source, request) => injectAsMachine(server, source, request),
  })
  const { signal } = new AbortController()
  return async (method: string, path: string, body?: unknown) => {
    const text = body === undefined ? '' : JSON.stringify(body)
    const asked = { host: 'h1', machine, app: 'heron', method, path, body: text }
    const answer = (await call.answer(asked, { requestId: 'r', signal })) as {
      status: number
      body: string
    }
    const isJson = answer.body.startsWith('{') || answer.body.startsWith('[')
    return { status: answer.status, body: isJson ? JSON.parse(answer.body) : answer.body }
  }
}

test('a machine gets a token that says who it is, and nobody else does', async () => {
  await using world = await FlapsWorld.open()
  const { id, name, instance_id: version, image_ref: ref } = await world.newMachine()
  const ask = socketOf(world, id)
  const { status, body } = await ask('POST', '/v1/tokens/oidc', { aud: 'sts.example' })
  assert.equal(status, 200)
  assert.equal(body.exp - body.iat, 600)
  const { iat: _iat, exp: _exp, nbf: _nbf, jti, image, image_digest: digest, ...claims } = body
  assert.match(ref.repository, /\w/)
  assert.ok(image.includes(ref.repository), image)
  assert.equal(digest, ref.digest)
  assert.match(jti, /^[0-9A-Z]{26}/)
  assert.deepEqual(claims, {
    iss: 'https://oidc.example/birds',
    sub: `birds:heron:${name}`,
    aud: 'sts.example',
    ...{ app_id: '1001', app_name: 'heron', org_id: '101', org_name: 'birds' },
    ...{ machine_id: id, machine_name: name, machine_version: version, region: 'ams' },
  })
  const without = await ask('POST', '/v1/tokens/oidc')
  assert.equal(without.body.aud, 'https://oidc.example/birds')
  const outside = await world.call('POST', '/tokens/oidc', { body: {} })
  assert.deepEqual([outside.status, outside.body], [403, { error: 'unauthorized' }])
})

test('a machine gets a token that uses the secret keys of its app, and does nothing else', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const key = '/apps/heron/secretkeys/seal'
  const made = await world.call('POST', `${key}/generate`, { body: { type: 'xaes256gcm' } })
  assert.equal(made.status, 201)
  const { status, body: token } = await socketOf(world, id)('POST', '/v1/tokens/kms')
  assert.equal(status, 200)
  const plaintext = Buffer.from('hush').toString('base64')
  const sealed = await world.call('POST', `${key}/encrypt`, { token, body: { plaintext } })
  assert.equal(sealed.status, 200)
  const opened = { ciphertext: sealed.body.ciphertext }
  const { body } = await world.call('POST', `${key}/decrypt`, { token, body: opened })
  assert.equal(body.plaintext, plaintext)
  const others = [
    world.call('DELETE', key, { token }),
    world.call('GET', '/apps/heron/machines', { token }),
    world.call('POST', `/apps/heron/machines/${id}/stop`, { token }),
    world.call('GET', '/apps/tern/secretkeys', { token }),
    world.call('POST', '/apps/heron/secrets', { token, body: { values: { A: 'b' } } }),
    world.call('POST', '/tokens/kms'),
  ]
  assert.deepEqual(
    (await Promise.all(others)).map(({ status: refused }) => refused),
    [403, 403, 403, 403, 403, 403],
  )
})

test('AWS gets the claims that were asked for as session tags', async () => {
  await using world = await FlapsWorld.open()
  const ask = socketOf(world, (await world.newMachine()).id)
  const { body } = await ask('POST', '/v1/tokens/oidc', { aws_principal_tags: ['app_name'] })
  assert.deepEqual(body['https://aws.amazon.com/tags'], {
    principal_tags: { app_name: ['heron'] },
    transitive_tag_keys: ['app_name'],
  })
  const unknown = await ask('POST', '/v1/tokens/oidc', { aws_principal_tags: ['shoe_size'] })
  assert.equal(unknown.status, 400)
})

test('by its socket a machine may act on itself, and on nothing else', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const other = await world.newMachine()
  const ask = socketOf(world, id)
  const own = `/v1/apps/heron/machines/${id}`
  assert.equal((await ask('GET', own)).body.id, id)
  assert.equal((await ask('GET', `${own}/wait?state=started&timeout=1`)).status, 200)
  assert.equal((await ask('PATCH', `${own}/metadata`, { metadata: { a: 'b' } })).status, 204)
  assert.equal((await ask('POST', `${own}/suspend`)).status, 200)
  for (const [method, path] of [
    ['GET', `/v1/apps/heron/machines/${other.id}`],
    ['POST', `/v1/apps/heron/machines/${other.id}/stop`],
    ['GET', '/v1/apps/heron/machines'],
    ['GET', '/v1/apps/heron/secrets'],
    ['POST', '/v1/apps/heron/deploy_token'],
    ['DELETE', '/v1/apps/heron'],
    ['GET', `/v1/apps/trout/machines/${id}`],
  ] as const) {
    assert.equal((await ask(method, path, method === 'POST' ? {} : undefined)).status, 403, path)
  }
  assert.equal((await ask('GET', '/v2/nothing')).status, 404)
  assert.equal(world.directory.audit.at(-1)?.path, '/v1/apps/heron')
  const owners = world.directory.audit
    .map(({ owner }) => owner)
    .filter((owner) => owner?.includes(id))
  assert.deepEqual([...new Set(owners)], [`${id}@machines.internal`])
})

test('the token of a machine is good by its socket alone', async () => {
  await using world = await FlapsWorld.open()
  const { id } = await world.newMachine()
  const app = await world.directory.app('heron')
  assert(app !== undefined)
  const token = await world.directory.createMachineToken(app, id)
  for (const headers of [{}, { 'x-forwarded-for': `machine:${id}:heron` }]) {
    const reply = await world.call('GET', `/apps/heron/machines/${id}`, { token, headers })
    assert.equal(reply.status, 403)
  }
})

test('a machine that names another app than its own, or is none, gets nothing', async () => {
  await using world = await FlapsWorld.open()
  assert.equal((await socketOf(world, '00000000000000')('POST', '/v1/tokens/oidc')).status, 404)
  const { id } = await world.newMachine()
  const [server] = world.servers
  assert(server !== undefined)
  const app = await world.directory.app('tern')
  assert(app !== undefined)
  const headers = { authorization: await world.directory.createMachineToken(app, id) }
  const request = { method: 'POST', path: '/v1/tokens/oidc', headers, body: '' }
  const reply = await injectAsMachine(server, { machine: id, app: 'tern' }, request)
  assert.equal(reply.statusCode, 404)
})

test('whoever reads the discovery documents can check a token, also after the key has changed', async () => {
  let nowMs = Date.parse('2026-01-01')
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs } as never
  const ring = new KeyRing(newKeyLine('first', seededRandom(1)), systemRandom)
  using accounts = openAccounts({ path: ':memory:', ring, clock })
  const identity = accountsIdentity(accounts, 'https://id.example.com/oidc/')
  await using world = await FlapsWorld.open()
  world.identity = identity
  const server = world.addInstance()
  const read = async (path: string) => (await server.inject({ url: path })).json()
  const at = '/oidc/birds/.well-known'
  const discovery = await read(`${at}/openid-configuration`)
  assert.equal(discovery.issuer, 'https://id.example.com/oidc/birds')
  assert.equal(discovery.jwks_uri, 'https://id.example.com/oidc/birds/.well-known/jwks')
  const isGood = async (token: string) => {
    const [head = '', body = '', signature = ''] = token.split('.')
    const { kid } = JSON.parse(Buffer.from(head, 'base64url').toString())
    const { keys } = await read(`${at}/jwks`)
    const jwk = keys.find((key: { kid: string }) => key.kid === kid)
    if (jwk === undefined) return false
    assert.equal(jwk.d, undefined)
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    return verify(
      'sha256',
      Buffer.from(`${head}.${body}`),
      key,
      Buffer.from(signature, 'base64url'),
    )
  }
  const first = identity.sign({ sub: 'a' })
  assert.ok(await isGood(first))
  assert.equal(accounts.identityKeys().length, 1)
  nowMs += 30 * 86_400_000 + 1
  const second = identity.sign({ sub: 'b' })
  assert.ok(await isGood(second))
  assert.ok(await isGood(first), 'the key before is published for a day more')
  nowMs += 86_400_000
  assert.equal(await isGood(first), false)
  assert.ok(await isGood(second))
})
