import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { KeyRing, openAccounts, RevocationFeed } from '#accounts'
import { createLog, systemClock, systemRandom } from '#base'
import { openVerifier } from '#macaroon'
import { newKeyLine } from '#seal'
import { accountsDirectory } from './accounts-directory.ts'
import { FlapsWorld } from './fixture/flaps-world.ts'

const log = createLog({ part: 'flaps', level: 'silent', format: 'json' })
const by = { who: 'cli:test', requestId: '01TEST' }

/** The API over real accounts, with the organisation of the operators and one other. */
async function open() {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-orgs-'))
  const ring = new KeyRing(newKeyLine('one', systemRandom), systemRandom)
  const accounts = openAccounts({ path: join(folder, 'accounts.db'), ring })
  const tokenOf = (organization: string, profile: 'org' | 'readonly') =>
    accounts.createToken(by, { organization, profile }).header
  accounts.createOrganization(by, { slug: 'ops', isOperator: true })
  accounts.createOrganization(by, { slug: 'birds', name: 'Birds' })
  for (const organization of ['ops', 'birds']) accounts.addRootKey(by, { organization })
  const feed = new RevocationFeed(accounts, { clock: systemClock, staleAfterMs: 60_000 })
  feed.poll()
  const verifier = openVerifier({
    keyFor: (kid) => accounts.rootKeySecret(kid),
    revocations: feed,
    clock: systemClock,
  })
  const pools = { v4: [] }
  const world = await FlapsWorld.open({
    directory: accountsDirectory({ accounts, verifier, pools, random: systemRandom, log }),
  })
  return {
    ...{ accounts, world, feed },
    operator: tokenOf('ops', 'org'),
    reader: tokenOf('ops', 'readonly'),
    birds: tokenOf('birds', 'org'),
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]()
      accounts[Symbol.dispose]()
      rmSync(folder, { recursive: true })
    },
  }
}

const slugsIn = ({ body }: { body: { organizations: { slug: string }[] } }) =>
  body.organizations.map(({ slug }) => slug).sort()

test('an operator makes an organisation, whose token works at once, and removes it', async () => {
  await using at = await open()
  const { world, operator: token } = at
  const made = await world.call('POST', '/orgs', { token, body: { slug: 'fish', name: 'Fish' } })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const { organization, token: own } = made.body
  assert.deepEqual(
    [organization.slug, organization.name, organization.operators],
    ['fish', 'Fish', false],
  )
  const app = { app_name: 'trout', org_slug: 'fish' }
  assert.equal((await world.call('POST', '/apps', { token: own, body: app })).status, 201)
  assert.deepEqual(slugsIn(await world.call('GET', '/orgs', { token: own })), ['fish'])
  assert.deepEqual(slugsIn(await world.call('GET', '/orgs', { token })), ['birds', 'fish', 'ops'])
  const shown = await world.call('GET', '/orgs/fish', { token })
  assert.equal(shown.body.app_count, 1)
  const refused = await world.call('DELETE', '/orgs/fish', { token })
  assert.equal(refused.status, 412)
  assert.match(refused.body.error, /has 1 apps.*destroy them first/)
  assert.equal((await world.call('DELETE', '/apps/trout', { token: own })).status, 202)
  assert.equal((await world.call('DELETE', '/orgs/fish', { token })).status, 204)
  at.feed.poll()
  assert.equal(
    (await world.call('GET', '/orgs', { token: own })).status,
    401,
    'its tokens end with it',
  )
  assert.equal((await world.call('GET', '/orgs/fish', { token })).status, 404)
  const operations = at.accounts.audit().map(({ operation }) => operation)
  for (const one of ['createOrganization', 'deleteOrganization']) assert(operations.includes(one))
})

test('who is no operator makes none, and sees and removes none but its own', async () => {
  await using at = await open()
  const { world, reader, birds } = at
  const body = { slug: 'fish' }
  for (const token of [reader, birds]) {
    assert.equal((await world.call('POST', '/orgs', { token, body })).status, 403)
  }
  assert.deepEqual(slugsIn(await world.call('GET', '/orgs', { token: reader })), ['birds', 'ops'])
  assert.deepEqual(slugsIn(await world.call('GET', '/orgs', { token: birds })), ['birds'])
  assert.equal((await world.call('GET', '/orgs/birds', { token: reader })).status, 200)
  assert.equal((await world.call('GET', '/orgs/ops', { token: birds })).status, 403)
  assert.equal((await world.call('DELETE', '/orgs/birds', { token: reader })).status, 403)
  assert.equal((await world.call('DELETE', '/orgs/ops', { token: birds })).status, 403)
  assert.equal((await world.call('DELETE', '/orgs/birds', { token: birds })).status, 204)
})

test('what cannot be is refused, and the operators stay', async () => {
  await using at = await open()
  const { world, operator: token } = at
  const create = (body: unknown) => world.call('POST', '/orgs', { token, body })
  assert.equal((await create({ slug: 'birds' })).status, 409)
  for (const body of [{}, { slug: '' }, { slug: 'No Slug!' }, { slug: 7 }]) {
    const { status } = await create(body)
    assert(status === 400 || status === 422, `${status} ${JSON.stringify(body)}`)
  }
  assert.equal((await world.call('DELETE', '/orgs/ops', { token })).status, 412)
  assert.equal(at.accounts.organizations().length, 2)
})
