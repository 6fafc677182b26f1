import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { type Accounts, KeyRing, openAccounts, RevocationFeed } from '#accounts'
import { type Clock, createLog, systemClock, systemRandom } from '#base'
import { Action, attenuateBundle, openVerifier, parseBundle, printBundle } from '#macaroon'
import { newKeyLine } from '#seal'
import { accountsDirectory } from './accounts-directory.ts'
import { accountsMachineNames } from './accounts-machine-names.ts'
import { allEndpoints } from './endpoints/all.ts'
import { FlapsWorld } from './fixture/flaps-world.ts'

const STALE_MS = 60_000
const by = { who: 'cli:test', requestId: '01TEST' }

/** The API over real accounts in memory, with an organisation `birds` and a token for all of it. */
async function open(clock: Clock = systemClock) {
  const ring = new KeyRing(newKeyLine('first', systemRandom), systemRandom)
  const accounts = openAccounts({ path: ':memory:', ring })
  accounts.createOrganization(by, { slug: 'birds', name: 'Birds' })
  accounts.addRootKey(by, { organization: 'birds' })
  const feed = new RevocationFeed(accounts, { clock, staleAfterMs: STALE_MS })
  feed.poll()
  const directory = accountsDirectory({
    accounts,
    verifier: openVerifier({
      keyFor: (kid) => accounts.rootKeySecret(kid),
      revocations: feed,
      cache: { entriesMax: 100, ttlMs: 3_600_000 },
      clock,
    }),
    pools: { v4: ['192.0.2.1'], sharedV4: '192.0.2.9', v6Prefix: '2001:db8:1:2' },
    random: systemRandom,
    log: createLog({ part: 'flaps', level: 'silent', format: 'json' }),
  })
  const world = await FlapsWorld.open({ directory, names: () => accountsMachineNames(accounts) })
  return { accounts, feed, world, token: tokenFor(accounts, 'org') }
}

const tokenFor = (accounts: Accounts, profile: 'org' | 'readonly') =>
  accounts.createToken(by, { organization: 'birds', profile }).header

test('apps, secrets and addresses are those of accounts, which say who changed them', async () => {
  const { accounts, world, token } = await open()
  await using _world = world
  using _accounts = accounts
  const call = (method: string, path: string, body?: unknown) =>
    world.call(method, path, { token, body })
  assert.equal((await call('POST', '/apps', { name: 'owl', org_slug: 'birds' })).status, 201)
  const taken = await call('POST', '/apps', { name: 'owl', org_slug: 'birds' })
  assert.deepEqual([taken.status, taken.body.status], [422, 'name_taken'])
  assert.equal((await call('POST', '/apps/owl/secrets', { values: { A: 'hush' } })).body.version, 1)
  assert.equal((await call('GET', '/apps/owl/secrets')).body.secrets[0].name, 'A')
  assert.equal((await call('GET', '/apps/owl/secrets?min_version=2')).status, 408)
  const assign = (type: string, more = {}) =>
    call('POST', '/apps/owl/ip_assignments', { type, ...more })
  assert.equal((await assign('v4')).body.ip, '192.0.2.1')
  assert.equal((await assign('v4')).status, 422, 'the pool is empty')
  assert.equal((await assign('shared_v4')).body.ip, '192.0.2.9')
  assert.match((await assign('v6')).body.ip, /^2001:db8:1:2:/)
  const { networkId } = accounts.apps('birds')[0] ?? assert.fail('the app is there')
  const [high, low] = [networkId >>> 16, networkId & 0xffff].map((one) => one.toString(16))
  const flycast = new RegExp(`^fdaa:${high}:${low}:0:1::[0-9a-f]{1,4}$`)
  assert.match((await assign('private_v6')).body.ip, flycast)
  assert.equal((await assign('private_v6', { network: 'other' })).status, 422)
  assert.equal((await call('DELETE', '/apps/owl/ip_assignments/192.0.2.1')).status, 204)
  assert.equal((await call('DELETE', '/apps/owl/ip_assignments/192.0.2.1')).status, 404)
  assert.equal((await call('GET', '/apps?org_slug=birds')).body.total_apps, 1)
  assert.equal((await call('DELETE', '/apps/owl')).status, 202)
  assert.equal((await call('GET', '/apps/owl')).status, 404)
  const [entry] = accounts.audit({ operation: 'createApp', app: 'owl' })
  assert.match(entry?.who ?? '', /@tokens\.internal$/)
})

test('a deploy token of accounts works for its app, mints nothing, and ends when it is revoked', async () => {
  const { accounts, feed, world, token } = await open()
  await using _world = world
  using _accounts = accounts
  for (const name of ['owl', 'jay']) {
    await world.call('POST', '/apps', { token, body: { name, org_slug: 'birds' } })
  }
  const minted = await world.call('POST', '/apps/owl/deploy_token', {
    token,
    body: { expiry: '1h' },
  })
  const deploy = minted.body.token
  const machine = { config: { image: 'nginx' } }
  const create = (app: string) =>
    world.call('POST', `/apps/${app}/machines`, { token: deploy, body: machine })
  assert.equal((await create('owl')).status, 200)
  assert.equal((await create('jay')).status, 403)
  assert.equal((await world.call('GET', '/apps?org_slug=birds', { token: deploy })).status, 403)
  assert.equal((await world.call('POST', '/apps/owl/deploy_token', { token: deploy })).status, 403)
  const readonly = tokenFor(accounts, 'readonly')
  assert.equal((await world.call('GET', '/apps/owl/machines', { token: readonly })).status, 200)
  const byReader = await world.call('POST', '/apps/owl/machines', {
    token: readonly,
    body: machine,
  })
  assert.equal(byReader.status, 403)
  const issued = accounts.tokens(accounts.app('owl')?.organization.slug ?? assert.fail('no app'))
  const uuid = issued.find(({ profile }) => profile === 'deploy')?.uuid
  accounts.revokeToken(by, { uuid: uuid ?? assert.fail('no token') })
  feed.poll()
  assert.equal((await create('owl')).status, 401)
})

test('an ssh token of accounts gets a certificate for its app and a peer, reads, and does nothing else', async () => {
  const { accounts, world, token } = await open()
  await using _world = world
  using _accounts = accounts
  for (const name of ['owl', 'jay']) {
    await world.call('POST', '/apps', { token, body: { name, org_slug: 'birds' } })
  }
  const input = { organization: 'birds', profile: 'ssh', app: 'owl' } as const
  const { header: ssh } = accounts.createToken(by, input)
  const call = async (method: string, path: string, body?: unknown) =>
    (await world.call(method, path, { token: ssh, ...(body === undefined ? {} : { body }) })).status
  const key = sshKey()
  assert.equal(await call('POST', '/apps/owl/ssh_certificates', key), 200)
  assert.equal(await call('POST', '/apps/jay/ssh_certificates', key), 403)
  assert.equal(await call('POST', '/orgs/birds/ssh_certificates', key), 403)
  const peer = { name: 'laptop', pubkey: Buffer.alloc(32, 7).toString('base64') }
  assert.equal(await call('POST', '/orgs/birds/wireguard_peers', peer), 200)
  assert.equal(await call('DELETE', '/orgs/birds/wireguard_peers/laptop'), 403)
  assert.equal(await call('GET', '/apps/owl/machines'), 200)
  assert.equal(await call('POST', '/apps/owl/machines', { config: { image: 'nginx' } }), 403)
  assert.equal(await call('GET', '/apps/jay'), 403)
})

/** As the OpenAPI document has one. */
function sshKey(): unknown {
  const found = allEndpoints.find(({ id }) => id === 'Apps_issue_ssh_certificate')
  return found?.example?.body ?? assert.fail('there is an example')
}

test('what was made from a revoked token ends with it, however it is written, and no news ends all', async () => {
  let nowMs = 0
  const { accounts, feed, world, token } = await open({
    ...systemClock,
    monotonicMs: () => nowMs,
  })
  await using _world = world
  using _accounts = accounts
  const status = async (header: string) =>
    (await world.call('GET', '/apps?org_slug=birds', { token: header })).status
  const narrowed = printBundle(
    attenuateBundle(parseBundle(token), [{ type: 'Action', body: Action.read }]),
  )
  const older = narrowed.replace('fm2_', 'fm1r_')
  const other = tokenFor(accounts, 'readonly')
  for (const header of [token, narrowed, older, other]) assert.equal(await status(header), 200)
  accounts.revokeToken(by, {
    uuid: accounts.tokens('birds').find(({ profile }) => profile === 'org')?.uuid ?? '',
  })
  feed.poll()
  for (const header of [token, narrowed, older]) assert.equal(await status(header), 401)
  assert.equal(await status(other), 200)
  nowMs = STALE_MS + 1
  assert.equal(await status(other), 401)
  feed.poll()
  assert.equal(await status(other), 200)
})

test('an app is made once for each idempotency key, and found by its role', async () => {
  const { accounts, world, token } = await open()
  await using _world = world
  using _accounts = accounts
  const create = (name: string, key: string) => {
    const body = { name, org_slug: 'birds', idempotency_key: key, app_role_id: 'builder' }
    return world.call('POST', '/apps', { token, body })
  }
  const first = await create('owl', 'k')
  assert.equal(first.status, 201)
  assert.equal((await create('owl', 'k')).body.id, first.body.id)
  assert.equal((await create('', 'k')).body.id, first.body.id)
  assert.equal((await create('kite', 'k')).status, 422)
  assert.equal((await create('owl', 'l')).status, 422)
  const apps = await world.call('GET', '/apps?org_slug=birds&app_role=builder', { token })
  assert.equal(apps.body.total_apps, 1)
  const none = await world.call('GET', '/apps?org_slug=birds&app_role=other', { token })
  assert.equal(none.body.total_apps, 0)
})

test('of two processes that claim one name of an app, one has it, until it lets go or its time is over', () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-names-'))
  try {
    let nowMs = 1_000
    const clock = { ...systemClock, nowMs: () => nowMs }
    const ring = new KeyRing(newKeyLine('first', systemRandom), systemRandom)
    const path = join(folder, 'accounts.db')
    using one = openAccounts({ path, ring, clock })
    using two = openAccounts({ path, ring, clock })
    one.createOrganization(by, { slug: 'birds' })
    const { id: app } = one.createApp(by, { organization: 'birds', app: 'owl' })
    const claim = (accounts: Accounts, machine: string) =>
      accounts.claimMachineName({ app, name: 'web', machine, ttlMs: 60_000 })
    assert.deepEqual([claim(one, 'a'), claim(two, 'b'), claim(one, 'c')], ['a', 'a', 'a'])
    assert.equal(two.releaseMachineName({ app, name: 'web', machine: 'b' }), false)
    assert.equal(two.releaseMachineName({ app, name: 'web', machine: 'a' }), true)
    assert.deepEqual([claim(two, 'b'), claim(one, 'a')], ['b', 'b'])
    nowMs += 60_000
    assert.equal(claim(one, 'a'), 'a')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('one name at two instances, before any row has travelled, makes one machine', async () => {
  const { accounts, world, token } = await open()
  await using _world = world
  using _accounts = accounts
  world.addInstance()
  await world.call('POST', '/apps', { token, body: { name: 'owl', org_slug: 'birds' } })
  for (const host of world.hosts) host.replicates = false
  const create = (instance: number) => {
    const body = { name: 'only', config: { image: 'nginx' } }
    return world.call('POST', '/apps/owl/machines', { token, body, instance })
  }
  const answers = await Promise.all([0, 1, 1, 0].map(create))
  assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 409, 409, 409])
  const winner = answers.find(({ status }) => status === 200)?.body.id
  for (const { status, body } of answers) {
    if (status === 409) assert.match(body.error, new RegExp(`machine ID ${winner} already exists`))
  }
})

test('tokens are made, listed and ended over the API, by who could do all that they can', async () => {
  const { accounts, feed, world, token } = await open()
  await using _world = world
  using _accounts = accounts
  accounts.createOrganization(by, { slug: 'fish' })
  accounts.addRootKey(by, { organization: 'fish' })
  const foreign = accounts.createToken(by, { organization: 'fish', profile: 'org' }).header
  for (const app of ['owl', 'tern']) accounts.createApp(by, { organization: 'birds', app })
  const path = '/orgs/birds/tokens'
  const call = (method: string, on: string, body?: unknown, as = token) =>
    world.call(method, on, { token: as, body })
  const made = await call('POST', path, { profile: 'deploy', app_name: 'owl', expiry: '24h' })
  assert.equal(made.status, 200)
  assert.match(made.body.token, /^FlyV1 fm2_/)
  const see = (app: string) => call('GET', `/apps/${app}/secrets`, undefined, made.body.token)
  assert.deepEqual([(await see('owl')).status, (await see('tern')).status], [200, 403])
  const [listed] = (await call('GET', path)).body.tokens
  assert.deepEqual(
    [listed.id, listed.app_name, listed.profile, listed.revoked_at],
    [made.body.id, 'owl', 'deploy', null],
  )
  assert.ok(!JSON.stringify(listed).includes('fm2_'))

  const refused = [
    call('POST', path, { profile: 'org' }, made.body.token),
    call('POST', path, { profile: 'org' }, foreign),
    call('POST', path, { profile: 'deploy' }),
    call('POST', path, { profile: 'emperor' }),
    call('DELETE', `${path}/${made.body.id}`, undefined, made.body.token),
    call('DELETE', `/orgs/fish/tokens/${made.body.id}`, undefined, foreign),
  ]
  const statuses = (await Promise.all(refused)).map(({ status }) => status)
  assert.deepEqual(statuses, [403, 403, 400, 400, 403, 404])
  const window = {
    type: 'ValidityWindow',
    body: { notBefore: 0, notAfter: 4_000_000_000 },
  } as const
  const brief = printBundle(attenuateBundle(parseBundle(token), [window]))
  const child = await call('POST', path, { profile: 'org' }, brief)
  assert.equal(Date.parse(child.body.expires_at), 4_000_000_000_000)

  assert.equal((await call('DELETE', `${path}/${made.body.id}`)).status, 204)
  feed.poll()
  assert.equal((await see('owl')).status, 401)
  const { tokens } = (await call('GET', path)).body
  const ended = tokens.find(({ id }: { id: string }) => id === made.body.id)
  assert.ok(Date.parse(ended.revoked_at) > 0)
})
