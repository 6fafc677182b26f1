import assert from 'node:assert/strict'
import test from 'node:test'
import { parseBundle, permissionTokens } from '#macaroon'
import { Ed25519Key, parseCertificate, parseCertificateLine } from '#ssh'
import { assertShape, type Shape } from './fixture/shape.ts'
import { DIGEST, PEER_KEY, WebWorld } from './fixture/web-world.ts'

const release: Shape = {
  ...{ id: 'text', version: 'number', stable: 'flag', in_progress: 'flag', status: 'text' },
  ...{ strategy: 'text', user: 'text', created_at: 'time', image_ref: 'text' },
}

test('a deployment is told of from its build to its end, and is a release of the Machines API', async () => {
  await using world = await WebWorld.open()
  const { body: shown } = await world.call('GET', '/api/v1/organizations/birds')
  assertShape(shown.organization, {
    ...{ id: 'text', internal_numeric_id: 'number', slug: 'text', raw_slug: 'text', name: 'text' },
    ...{ paid_plan: 'flag', personal: 'flag', billable: 'flag', billing_status: 'text' },
    ...{ provisions_beta_extensions: 'flag', remote_builder_image: 'text' },
  })
  const app_name = 'heron'
  const build = await world.call('POST', '/api/v1/builds', {
    ...{ app_name, builder_type: 'depot.dev', strategies_available: ['Remote Image Reference'] },
  })
  assert.equal(build.status, 200) // exactly: of another one clients say that it failed
  assertShape(build.body, { id: 'number', status: 'text', wallclock_time_ms: 'number' })
  const finish = await world.call('POST', '/api/v1/builds/finish', {
    ...{ build_id: build.body.id, app_name, machine_id: '', status: 'completed', timings: {} },
  })
  assert.deepEqual([finish.status, finish.body.status], [200, 'completed'])
  const definition = { app: app_name, deploy: { strategy: 'rolling' } }
  const image = `registry.example/heron@${DIGEST}`
  const made = await world.call('POST', '/api/v1/releases', {
    ...{ app_name, build_id: build.body.id, definition, image, strategy: 'ROLLING' },
  })
  assert.equal(made.status, 201)
  assertShape(made.body.release, release)
  const path = `/api/v1/releases/${made.body.release.id}`
  const running = await world.call('PATCH', path, { status: 'running', metadata: null })
  assert.deepEqual([running.status, running.body.in_progress], [200, true])
  const error = 'machine 1 did not start'
  const failed = await world.call('PATCH', path, {
    status: 'failed',
    metadata: { post_deployment_info: { flyctl_version: '1', error } },
  })
  assertShape(failed.body, release)
  const { body: listed } = await world.call('GET', '/apps/heron/releases')
  const [own] = listed.releases
  assert.deepEqual([own.status, own.failure, own.image_ref], ['failed', error, image])
  const { body: web } = await world.call('GET', '/api/v1/apps/heron/releases?limit=20')
  assert.equal(web.releases[0].id, made.body.release.id)
  assert.equal((await world.call('GET', '/api/v1/apps/heron/releases/current')).status, 404)
  const { app } = await world.get(
    '{ app(name: "heron") { currentReleaseUnprocessed { configDefinition } } }',
  )
  assert.deepEqual(app.currentReleaseUnprocessed.configDefinition, definition)
})

test('addresses are given and taken back by the names of their kinds', async () => {
  await using world = await WebWorld.open()
  const allocate = `mutation($input: AllocateIPAddressInput!) { allocateIpAddress(input: $input) {
    app { sharedIpAddress } ipAddress { id address type region createdAt } } }`
  for (const [type, address] of [
    ['v4', /^192\.0\.2\.1$/],
    ['v6', /^2001:db8:1:2:/],
    ['private_v6', /^fdaa:/],
  ] as const) {
    const { allocateIpAddress: made } = await world.get(allocate, {
      input: { appId: 'heron', type, region: '' },
    })
    assert.match(made.ipAddress.address, address)
    assert.deepEqual([made.ipAddress.type, made.ipAddress.region], [type, 'global'])
  }
  const { allocateIpAddress: shared } = await world.get(allocate, {
    input: { appId: 'heron', type: 'shared_v4', region: '' },
  })
  assert.deepEqual(shared, { app: { sharedIpAddress: '192.0.2.9' }, ipAddress: null })
  const none = await world.ask(allocate, { input: { appId: 'heron', type: 'v4', region: '' } })
  assert.equal(none.errors[0]?.extensions.code, 'UNPROCESSABLE')
  await world.get(
    `mutation($input: ReleaseIPAddressInput!) { releaseIpAddress(input: $input) { clientMutationId } }`,
    { input: { appId: 'heron', ipAddressId: null, ip: '192.0.2.1' } },
  )
  assert.equal(world.accounts.addresses('heron').length, 3)
})

test('tokens are made with one permission token in them, listed, and taken back', async () => {
  await using world = await WebWorld.open()
  const { organization } = await world.get('{ organization(slug: "birds") { id } }')
  const create = `mutation($name: String!, $org: ID!, $profile: String!, $params: JSON, $expiry: String!) {
    createLimitedAccessToken(input: { name: $name, organizationId: $org, profile: $profile,
      profileParams: $params, expiry: $expiry }) { limitedAccessToken { tokenHeader } } }`
  const make = async (profile: string, params: unknown) => {
    const variables = { name: 'CI', org: organization.id, profile, params, expiry: '175200h0m0s' }
    const { createLimitedAccessToken: made } = await world.get(create, variables)
    return made.limitedAccessToken.tokenHeader as string
  }
  const deploy = await make('deploy', { app_id: 'heron' })
  const all = await make('deploy_organization', {})
  for (const header of [deploy, all]) {
    assert.equal(permissionTokens(parseBundle(header)).length, 1)
    const { body } = await world.call('GET', '/apps/heron', undefined, header)
    assert.equal(body.name, 'heron')
  }
  const list = '{ app(name: "heron") { limitedAccessTokens { nodes { id name token } } } }'
  const [listed] = (await world.get(list)).app.limitedAccessTokens.nodes
  assert.deepEqual([listed.name, listed.token], ['CI', ''])
  const revoke = `mutation($input: DeleteLimitedAccessTokenInput!) {
    deleteLimitedAccessToken(input: $input) { token } }`
  await world.get(revoke, { input: { id: listed.id } })
  assert.equal(world.accounts.revocationsAfter(0)[0]?.uuid, listed.id)
  assert.deepEqual((await world.get(list)).app.limitedAccessTokens.nodes, [])
  const again = await world.ask(revoke, { input: { id: '00000000-0000-0000-0000-000000000000' } })
  assert.equal(again.errors[0]?.extensions.code, 'NOT_FOUND')
  const other = await world.ask(create, {
    ...{ name: 'x', org: organization.id, profile: 'identity', params: {}, expiry: '' },
  })
  assert.equal(other.errors[0]?.extensions.code, 'INVALID_ARGUMENTS')
})

test('devices join, are checked and leave; a name that is too long for DNS keeps its end', async () => {
  await using world = await WebWorld.open()
  const { organization } = await world.get('{ organization(slug: "birds") { id } }')
  const ulid = '01M84CK71PXA485HH2727RQ61C'
  const name = `interactive-a-host-of-mine-0b1e-4c1f-9d3a-tokens-internal-${ulid}`
  const { addWireGuardPeer: made } = await world.get(
    `mutation($input: AddWireGuardPeerInput!) { addWireGuardPeer(input: $input) {
       peerip endpointip pubkey } }`,
    {
      input: {
        name,
        nats: false,
        organizationId: organization.id,
        pubkey: PEER_KEY,
        region: 'ams',
      },
    },
  )
  assertShape(made, { peerip: 'text', endpointip: 'text', pubkey: 'text' })
  const [peer] = world.accounts.wireguardPeers('birds')
  assert.equal(peer?.name.length, 63)
  assert(peer?.name.endsWith(`-${ulid}`))
  const { validateWireGuardPeers: checked } = await world.get(
    `mutation($input: ValidateWireGuardPeersInput!) { validateWireGuardPeers(input: $input) {
       invalidPeerIps } }`,
    { input: { peerIps: [made.peerip, 'fdaa:9::1'] } },
  )
  assert.deepEqual(checked, { invalidPeerIps: ['fdaa:9::1'] })
  await world.get(
    `mutation($input: RemoveWireGuardPeerInput!) { removeWireGuardPeer(input: $input) {
       organization { id } } }`,
    { input: { name, organizationId: organization.id } },
  )
  assert.deepEqual(world.accounts.wireguardPeers('birds'), [])
})

test('certificates for ssh are for the app that was named, or for all; without a key one is made', async () => {
  await using world = await WebWorld.open()
  const { organization } = await world.get('{ organization(slug: "birds") { id } }')
  const issue = `mutation($input: IssueCertificateInput!) { issueCertificate(input: $input) {
    certificate, key } }`
  const base = { organizationId: organization.id, principals: ['root', 'fly'], validHours: 1 }
  const key = Ed25519Key.generate()
  const { issueCertificate: own } = await world.get(issue, {
    input: { ...base, appNames: ['heron'], publicKey: key.publicLine() },
  })
  assert.equal(own.key, null)
  const certificate = parseCertificate(parseCertificateLine(own.certificate))
  assert.deepEqual(certificate.principals, ['root', 'fly'])
  assert.deepEqual(certificate.apps, [String(world.accounts.app('heron')?.id)])
  const { issueCertificate: made } = await world.get(issue, { input: { ...base, publicKey: '' } })
  assert.match(made.key, /^-----BEGIN OPENSSH PRIVATE KEY-----/)
  assert.deepEqual(parseCertificate(parseCertificateLine(made.certificate)).apps, [])
  const publicKey = key.publicLine()
  for (const appNames of [['trout'], ['heron', 'heron']]) {
    const { errors } = await world.ask(issue, { input: { ...base, appNames, publicKey } })
    assert.equal(errors[0]?.extensions.code, 'INVALID_ARGUMENTS')
  }
})

test('calls of older clients make and unmake apps, secrets and releases', async () => {
  await using world = await WebWorld.open()
  const { organization } = await world.get('{ organization(slug: "birds") { id } }')
  await world.get(
    'mutation($input: CreateAppInput!) { createApp(input: $input) { app { id organization { slug } } } }',
    { input: { organizationId: organization.id, name: 'owl' } },
  )
  await world.get(
    'mutation($input: SetSecretsInput!) { setSecrets(input: $input) { app { name } } }',
    {
      input: {
        appId: 'owl',
        secrets: [
          { key: 'A', value: '1' },
          { key: 'B', value: '2' },
        ],
      },
    },
  )
  await world.get(
    'mutation($input: UnsetSecretsInput!) { unsetSecrets(input: $input) { app { name } } }',
    { input: { appId: 'owl', keys: ['A'] } },
  )
  const { app } = await world.get('{ app(name: "owl") { secrets { name digest createdAt } } }')
  assert.deepEqual(
    app.secrets.map(({ name }: { name: string }) => name),
    ['B'],
  )
  const { createRelease: made } = await world.get(
    'mutation($input: CreateReleaseInput!) { createRelease(input: $input) { release { id version } } }',
    {
      input: {
        ...{ appId: 'owl', image: 'nginx', platformVersion: 'machines', strategy: 'ROLLING' },
        definition: { app: 'owl' },
      },
    },
  )
  const { updateRelease: updated } = await world.get(
    'mutation($input: UpdateReleaseInput!) { updateRelease(input: $input) { release { status } } }',
    { input: { releaseId: made.release.id, status: 'complete' } },
  )
  assert.equal(updated.release.status, 'complete')
  await world.get('mutation { deleteApp(appId: "owl") { organization { slug } } }')
  assert.equal(world.accounts.app('owl'), undefined)
})

test('the log of an app is where clients of the original look for it', async () => {
  await using world = await WebWorld.open()
  world.flaps.logs.add('heron', '0123456789abcd', 'hello')
  const { status, body } = await world.call('GET', '/api/v1/apps/heron/logs?next_token=')
  assert.equal(status, 200)
  assertShape(body, {
    data: [{ id: 'text', attributes: { timestamp: 'text', message: 'text', level: 'text' } }],
    meta: { next_token: 'text' },
  })
})
