import assert from 'node:assert/strict'
import test from 'node:test'
import { attenuateBundle, caveatsFromJson, parseBundle, printBundle } from '#macaroon'
import { PEER_KEY, WebWorld } from './fixture/web-world.ts'

/**
 * Who may ask what, by hand. Letters: `o` all of the organisation, `r` reads all of it, `d` deploys its app, `x`
 * runs commands in its app's machines and reads that, `w` an organisation's token that may only write, `f` another
 * organisation's. Those that a row does not name are refused, and who has no token always is.
 */
const rows: readonly (readonly [allowed: string, query: string])[] = [
  ['ordxwf', '{ viewer { email } }'],
  ['ordxwf', '{ platform { regions { code } } }'],
  ['ordxwf', '{ organizations { nodes { slug } } }'],
  ['ordxw', '{ organization(slug: "birds") { id slug name } }'],
  ['or', '{ organization(slug: "birds") { members { edges { role } } } }'],
  ['ord', '{ organization(slug: "birds") { wireGuardPeers { nodes { name } } } }'],
  ['or', '{ organization(slug: "birds") { limitedAccessTokens { nodes { id } } } }'],
  ['ordx', '{ app(name: "heron") { id name status } }'],
  ['ordx', '{ app(name: "heron") { limitedAccessTokens { nodes { id } } } }'],
  ['ordx', '{ app(name: "heron") { secrets { name } } }'],
  ['ordx', '{ machine(machineId: "MACHINE") { id app { status } } }'],
  ['ordx', '{ volume(id: "VOLUME") { id } }'],
  ['ordx', '{ canPerformBluegreenDeployment(name: "heron") }'],
  ['od', 'mutation { allocateIpAddress(input: { appId: "heron", type: v6 }) { app { id } } }'],
  [
    'od',
    'mutation { releaseIpAddress(input: { appId: "heron", ip: "192.0.2.7" }) { app { id } } }',
  ],
  [
    'od',
    `mutation { addWireGuardPeer(input: { organizationId: "birds", name: "a", pubkey: "${PEER_KEY}" })
     { peerip } }`,
  ],
  [
    'od',
    'mutation { removeWireGuardPeer(input: { organizationId: "birds", name: "a" }) { clientMutationId } }',
  ],
  ['ordxwf', 'mutation { validateWireGuardPeers(input: { peerIps: [] }) { invalidPeerIps } }'],
  [
    'od',
    'mutation { issueCertificate(input: { organizationId: "birds", appNames: ["heron"] }) { key } }',
  ],
  ['o', 'mutation { issueCertificate(input: { organizationId: "birds" }) { key } }'],
  [
    'o',
    `mutation { createLimitedAccessToken(input: { name: "a", organizationId: "birds",
     profile: "deploy_organization" }) { limitedAccessToken { id } } }`,
  ],
  ['o', 'mutation { deleteLimitedAccessToken(input: { id: "TOKEN" }) { token } }'],
  ['odw', 'mutation { setSecrets(input: { appId: "heron", secrets: [] }) { app { id } } }'],
  [
    'odw',
    `mutation { createRelease(input: { appId: "heron", image: "nginx", platformVersion: "machines",
     strategy: ROLLING, definition: {} }) { app { id } } }`,
  ],
  [
    'odw',
    'mutation { updateRelease(input: { releaseId: "RELEASE", status: "running" }) { release { id } } }',
  ],
  ['o', 'mutation { createApp(input: { organizationId: "birds", name: "auk" }) { app { id } } }'],
]

const rest: readonly (readonly [allowed: string, request: string, body?: object])[] = [
  ['ordxwf', 'GET /api/v1/organizations'],
  ['ordxw', 'GET /api/v1/organizations/birds'],
  ['odw', 'POST /api/v1/builds', { app_name: 'heron' }],
  ['odw', 'POST /api/v1/builds/finish', { app_name: 'heron', build_id: 1, status: 'completed' }],
  ['odw', 'POST /api/v1/releases', { app_name: 'heron', image: 'nginx' }],
  ['odw', 'PATCH /api/v1/releases/RELEASE', { status: 'running' }],
  ['ordx', 'GET /api/v1/apps/heron/releases'],
  ['ordx', 'GET /api/v1/apps/heron/releases/current'],
  ['ordx', 'GET /api/v1/apps/heron/logs?next_token='],
]

const narrowed = (header: string, json: string) =>
  printBundle(attenuateBundle(parseBundle(header), caveatsFromJson(json)))

/** By the letters above, each with a world of its own numbers. */
async function open() {
  const world = await WebWorld.open()
  const by = { who: 'cli:test', requestId: 'r' }
  const machine = await world.call('POST', '/apps/heron/machines', { config: { image: 'nginx' } })
  const volume = await world.call('POST', '/apps/heron/volumes', { name: 'nest', region: 'ams' })
  const spare = () => world.accounts.createToken(by, { organization: 'birds', profile: 'org' }).uuid
  const release = { app: 'heron', image: 'nginx', strategy: 'rolling', definition: {} }
  const { id } = world.accounts.createRelease(by, release)
  const fill = (text: string) =>
    text
      .replace('MACHINE', machine.body.id)
      .replace('VOLUME', volume.body.id)
      .replace('RELEASE', id)
      .replace('TOKEN', spare)
  const tokens: Readonly<Record<string, string>> = {
    o: world.token,
    r: world.newToken('readonly'),
    d: world.newToken('deploy', 'birds', { app: 'heron' }),
    x: world.newToken('machine-exec', 'birds', { app: 'heron' }),
    w: narrowed(world.token, '[{"type":"Action","body":"w"}]'),
    f: world.newToken('org', 'fish'),
  }
  return { world, fill, tokens }
}

test('each thing that can be asked is asked of every kind of token', async () => {
  const { world, fill, tokens } = await open()
  await using _world = world
  for (const [allowed, query] of rows) {
    for (const [letter, token] of Object.entries(tokens)) {
      const { errors } = await world.ask(fill(query), null, token)
      const isRefused = errors.some(({ extensions }) => extensions.code === 'UNAUTHORIZED')
      // One organisation's machines are not there for the others.
      const isHidden =
        letter === 'f' && errors.some(({ extensions }) => extensions.code === 'NOT_FOUND')
      const seen = isRefused || isHidden ? 'refused' : 'allowed'
      const expected = allowed.includes(letter) ? 'allowed' : 'refused'
      assert.equal(seen, expected, `${letter}: ${query}: ${JSON.stringify(errors)}`)
    }
    const nobody = await world.ask(fill(query), null, null)
    assert.equal(nobody.errors[0]?.extensions.code, 'UNAUTHORIZED')
    assert.equal(nobody.data, undefined)
  }
})

test('so is each call of the web', async () => {
  const { world, fill, tokens } = await open()
  await using _world = world
  for (const [allowed, request, body] of rest) {
    const [method = '', path = ''] = fill(request).split(' ')
    for (const [letter, token] of Object.entries(tokens)) {
      const { status } = await world.call(method, path, body, token)
      const expected = allowed.includes(letter) ? 'allowed' : 'refused'
      assert.equal(
        status === 403 ? 'refused' : 'allowed',
        expected,
        `${letter}: ${request}: ${status}`,
      )
    }
    assert.equal((await world.call(method, path, body, null)).status, 401)
  }
})

test('a token is taken under either scheme', async () => {
  const { world } = await open()
  await using _world = world
  const token = world.token.replace('FlyV1', 'Bearer')
  assert.equal(
    (await world.call('GET', '/api/v1/organizations/birds', undefined, token)).status,
    200,
  )
  assert.deepEqual(
    (await world.ask('{ organizations { nodes { slug } } }', null, token)).errors,
    [],
  )
})

test('lists hold what the token may see, and no more', async () => {
  const { world, tokens } = await open()
  await using _world = world
  const by = { who: 'cli:test', requestId: 'r' }
  world.accounts.createApp(by, { organization: 'birds', app: 'tern' })
  const names = async (token: string | undefined) => {
    const { data } = await world.ask('{ apps { nodes { name } } }', null, token ?? null)
    return data.apps.nodes.map(({ name }: { name: string }) => name)
  }
  assert.deepEqual(await names(tokens['r']), ['heron', 'tern'])
  assert.deepEqual(await names(tokens['d']), ['heron'])
  assert.deepEqual(await names(tokens['f']), ['trout'])
})

test('what is narrowed mints nothing, and what is minted outlives nobody', async () => {
  const { world } = await open()
  await using _world = world
  const query = `mutation { createLimitedAccessToken(input: { name: "a", organizationId: "birds",
    profile: "deploy_organization" }) { limitedAccessToken { expiresAt } } }`
  const commands = narrowed(world.token, '[{"type":"Commands","body":[{"args":["ls"]}]}]')
  const refused = await world.ask(query, null, commands)
  assert.equal(refused.errors[0]?.extensions.code, 'UNAUTHORIZED')
  const by = { who: 'cli:test', requestId: 'r' }
  const short = { organization: 'birds', profile: 'org', expiresInS: 3_600 } as const
  const { header } = world.accounts.createToken(by, short)
  const { data } = await world.ask(query, null, header)
  const { expiresAt } = data.createLimitedAccessToken.limitedAccessToken
  assert(Date.parse(expiresAt) <= Date.now() + 3_600_000, expiresAt)
})

test('changes are in the audit log of accounts with who made them', async () => {
  const { world, tokens } = await open()
  await using _world = world
  await world.ask(
    'mutation { unsetSecrets(input: { appId: "heron", keys: ["A"] }) { app { id } } }',
    null,
    tokens['d'],
  )
  const [entry] = world.accounts.audit({ operation: 'setSecrets' })
  assert.match(entry?.who ?? '', /@tokens\.internal$/)
  assert.deepEqual(entry?.target, { app: 'heron', secrets: ['A'] })
})
