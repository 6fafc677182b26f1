import assert from 'node:assert/strict'
import test from 'node:test'
import { systemClock } from '#base'
import { WebWorld } from './fixture/web-world.ts'

const BY = { who: 'cli:test', requestId: 'r' }
const ADA = 'ada@birds.example'
const START = { name: 'laptop', signup: false, target: 'auth', code_challenge: 'x', state: 'y' }

/** As the client does it. */
async function login(world: WebWorld, email = ADA) {
  const begun = await world.call('POST', '/api/v1/cli_sessions', START, null)
  assert.equal(begun.status, 201)
  const path = `/api/v1/cli_sessions/${begun.body.id}`
  const code = /[A-Z0-9]{4}-[A-Z0-9]{4}$/.exec(begun.body.auth_url)?.[0] ?? ''
  assert.equal((await world.call('GET', path, undefined, null)).status, 404)
  world.accounts.confirmLogin(BY, { code: code.toLowerCase(), email })
  const { status, body } = await world.call('GET', path, undefined, null)
  return { status, path, token: String(body.access_token) }
}

test('a login that was confirmed gets a token of each organisation of that person, once', async () => {
  await using world = await WebWorld.open()
  world.accounts.addMember(BY, { organization: 'fish', email: ADA })
  const { status, path, token } = await login(world)
  assert.equal(status, 200)
  assert.doesNotMatch(token, /^FlyV1/)
  assert.equal((await world.call('GET', path, undefined, null)).status, 404)
  const query = `{ viewer { ... on User { id email enablePaidHobby } ... on Macaroon { email } }
    organizations { nodes { slug viewerRole } } }`
  const { data, errors } = await world.ask(query, null, `FlyV1 ${token}`)
  assert.deepEqual(errors, [])
  assert.deepEqual(data.viewer, { id: ADA, email: ADA, enablePaidHobby: false })
  const slugs = data.organizations.nodes.map(({ slug }: { slug: string }) => slug)
  assert.deepEqual(slugs, ['birds', 'fish', 'personal'])
})

test('who leaves an organisation loses what they got by logging in there, and nothing else', async () => {
  await using world = await WebWorld.open()
  world.accounts.addMember(BY, { organization: 'fish', email: ADA })
  await login(world)
  const before = world.accounts.tokens('fish').map(({ uuid }) => uuid)
  world.accounts.removeMember(BY, { organization: 'fish', email: ADA })
  assert.deepEqual(
    world.accounts.revocationsAfter(0).map(({ uuid }) => uuid),
    before,
  )
})

test('only members are let in, only with the code that waits, and only for a while', async () => {
  let nowMs = Date.now()
  const still = { ...systemClock, nowMs: () => nowMs }
  await using world = await WebWorld.open({ clock: still })
  const { body } = await world.call('POST', '/api/v1/cli_sessions', START, null)
  const [{ code } = { code: '' }] = world.accounts.logins()
  const confirm = (input: { code: string; email: string }) => () =>
    world.accounts.confirmLogin(BY, input)
  assert.throws(confirm({ code, email: 'eve@fish.example' }), /no such member/)
  assert.throws(confirm({ code: 'AAAA-AAAA', email: ADA }), /no such login/)
  nowMs += 15 * 60_000
  assert.throws(confirm({ code, email: ADA }), /no such login/)
  assert.deepEqual(world.accounts.logins(), [])
  assert.equal(
    (await world.call('GET', `/api/v1/cli_sessions/${body.id}`, undefined, null)).status,
    404,
  )
})

test('the page of a login says what to do, and nothing that somebody sent', async () => {
  await using world = await WebWorld.open()
  const { body } = await world.call('POST', '/api/v1/cli_sessions', { ...START, name: '<b>' }, null)
  const path = new URL(body.auth_url).pathname
  const shown = await world.call('GET', path, undefined, null)
  assert.equal(shown.headers['content-type'], 'text/html; charset=utf-8')
  assert.match(shown.body, /godwit accounts confirm-login [A-Z0-9]{4}-[A-Z0-9]{4}/)
  assert.doesNotMatch(shown.body, /<b>/)
  assert.equal((await world.call('GET', '/app/auth/cli/x%3Cb%3E', undefined, null)).status, 404)
  const launch = await world.call(
    'POST',
    '/api/v1/cli_sessions',
    { ...START, target: 'launch' },
    null,
  )
  assert.equal(launch.status, 422)
})

test('no more than a thousand logins wait', async () => {
  await using world = await WebWorld.open()
  for (let count = 0; count < 1_000; count += 1) world.accounts.beginLogin({ name: 'bot' })
  assert.equal((await world.call('POST', '/api/v1/cli_sessions', START, null)).status, 429)
})

test('an admin who has logged in makes organisations; tokens of nobody do not', async () => {
  await using world = await WebWorld.open()
  const query = `mutation($input: CreateOrganizationInput!) { createOrganization(input: $input) {
    organization { id name slug type viewerRole } } }`
  const variables = { input: { name: 'New Flock' } }
  const refused = await world.ask(query, variables)
  assert.equal(refused.errors[0]?.extensions.code, 'UNAUTHORIZED')
  const { token } = await login(world)
  const { data, errors } = await world.ask(query, variables, token)
  assert.deepEqual(errors, [])
  const { organization } = data.createOrganization
  assert.deepEqual([organization.slug, organization.type], ['new-flock', 'SHARED'])
  assert.deepEqual(world.accounts.members('new-flock')[0]?.email, ADA)
  const taken = await world.ask(query, variables, token)
  assert.equal(taken.errors[0]?.extensions.code, 'UNPROCESSABLE')
  world.accounts.addMember(BY, { organization: 'birds', email: 'bob@birds.example' })
  const bob = await login(world, 'bob@birds.example')
  const member = await world.ask(query, { input: { name: 'Bobs' } }, bob.token)
  assert.equal(member.errors[0]?.extensions.code, 'UNAUTHORIZED')
})
