import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import test from 'node:test'
import { KeyRing, type NetworkPolicyContent, type NetworkPolicyRule, openAccounts } from '#accounts'
import { createLog, pollUntil, systemClock, systemRandom } from '#base'
import { PLATFORM_SCHEMA } from '#corrosion'
import { POLICY_PORTS_MAX } from '#net6'
import { newKeyLine } from '#seal'
import { AppPublisher } from './app-publisher.ts'
import type { Statement } from './app-rows.ts'
import { FlapsWorld } from './fixture/flaps-world.ts'

const path = '/apps/heron/network_policies'
const by = { who: 'cli:test', requestId: '01TEST' }
const https = { protocol: 'tcp', port: 443 } as const
const rule = (direction: 'ingress' | 'egress', ...ports: object[]) =>
  ({ action: 'allow', direction, ports }) as NetworkPolicyRule
const webOnly: NetworkPolicyContent = {
  name: 'web-only',
  selector: { all: true },
  rules: [rule('egress', https)],
}

test('a policy is made, listed with and without a trailing slash, replaced by its id, and taken away', async () => {
  await using world = await FlapsWorld.open()
  assert.deepEqual((await world.call('GET', path)).body, [])
  const made = await world.call('POST', path, { body: webOnly })
  assert.equal(made.status, 200)
  const { id, created_at: createdAt, updated_at: _, ...content } = made.body
  assert.deepEqual(content, webOnly)
  for (const at of [path, `${path}/`]) {
    assert.deepEqual((await world.call('GET', at)).body, [made.body], at)
  }
  const changed = {
    ...made.body,
    selector: { machines: [{ id: 'abc' }], metadata: { role: 'web' } },
  }
  const again = await world.call('POST', `${path}/`, { body: changed })
  assert.deepEqual([again.status, again.body.id, again.body.created_at], [200, id, createdAt])
  assert.deepEqual((await world.call('GET', path)).body, [again.body])
  const absent = await world.call('POST', path, { body: { ...webOnly, id: 'np_none' } })
  assert.equal(absent.status, 404)
  assert.equal((await world.call('DELETE', `${path}/${id}`)).status, 200)
  assert.equal((await world.call('DELETE', `${path}/${id}`)).status, 404)
})

test('what a policy may not say is refused, and so is what nobody here knows', async () => {
  await using world = await FlapsWorld.open()
  const odd: readonly object[] = [
    { ...webOnly, name: undefined },
    { ...webOnly, selector: undefined },
    { ...webOnly, selector: { all: true, region: 'ams' } },
    { ...webOnly, selector: { machines: ['abc'] } },
    { ...webOnly, rules: undefined },
    { ...webOnly, rules: [{ ...rule('egress', https), action: 'deny' }] },
    { ...webOnly, rules: [{ ...rule('egress', https), direction: 'both' }] },
    { ...webOnly, rules: [{ ...rule('egress', https), cidr: '10.0.0.0/8' }] },
    { ...webOnly, rules: [{ action: 'allow', direction: 'egress' }] },
    ...[0, 65_536, '443', 1.5].map((port) => ({
      ...{ ...webOnly, rules: [rule('egress', { protocol: 'tcp', port })] },
    })),
    { ...webOnly, rules: [rule('egress', { ...https, end_port: 500 })] },
    { ...webOnly, rules: [rule('egress', { protocol: 'icmp', port: 1 })] },
  ]
  for (const body of odd) {
    assert.equal((await world.call('POST', path, { body })).status, 400, JSON.stringify(body))
  }
})

test('accounts keep what hosts can keep to, and say who changed it', () => {
  const ring = new KeyRing(newKeyLine('first', systemRandom), systemRandom)
  using accounts = openAccounts({ path: ':memory:', ring })
  accounts.createOrganization(by, { slug: 'birds' })
  for (const app of ['owl', 'kite']) accounts.createApp(by, { organization: 'birds', app })
  const put = (changes: object = {}) =>
    accounts.putNetworkPolicy(by, { app: 'owl', ...webOnly, ...changes })
  const first = put()
  assert.match(first.id, /^np_[0-9a-z]{26}$/)
  assert.throws(() => put(), { code: 'accounts.taken' })
  assert.throws(() => put({ id: 'np_none' }), { code: 'accounts.not_found' })
  assert.throws(() => put({ app: 'kite', id: first.id }), { code: 'accounts.not_found' })
  for (const name of ['', '-a', 'a b', 'x'.repeat(64)]) {
    assert.throws(() => put({ name }), { code: 'accounts.bad_input' }, name)
  }
  for (const selector of [{}, { all: false }, { machines: [] }, { metadata: {} }]) {
    assert.throws(() => put({ name: 'none', selector }), { code: 'accounts.bad_input' })
  }
  const ports = Array.from({ length: POLICY_PORTS_MAX }, (_, at) => ({
    ...{ protocol: 'tcp', port: 443 + at },
  }))
  put({ id: first.id, rules: [rule('egress', ...ports)] })
  put({ name: 'again', rules: [rule('egress', https), rule('ingress', ...ports)] })
  const one = { protocol: 'udp', port: 443 }
  assert.throws(() => put({ name: 'much', rules: [rule('egress', one)] }), {
    code: 'accounts.bad_input',
  })
  accounts.removeNetworkPolicy(by, { app: 'owl', id: first.id })
  put({ name: 'much', rules: [rule('egress', one)] })
  assert.deepEqual(
    accounts.networkPolicies('owl').map(({ name }) => name),
    ['again', 'much'],
  )
  const [entry] = accounts.audit({ operation: 'removeNetworkPolicy' })
  assert.deepEqual(entry?.target, { app: 'owl', id: first.id })
})

test('a policy is told to all hosts, with its changes and its end', async () => {
  const ring = new KeyRing(newKeyLine('first', systemRandom), systemRandom)
  using accounts = openAccounts({ path: ':memory:', ring })
  accounts.createOrganization(by, { slug: 'birds' })
  accounts.createApp(by, { organization: 'birds', app: 'owl' })
  using database = new DatabaseSync(':memory:')
  database.exec(PLATFORM_SCHEMA)
  const write = async (statements: readonly Statement[]) => {
    for (const [sql, values] of statements) database.prepare(sql).run(...values)
  }
  const rows = () => database.prepare('SELECT * FROM network_policies').all()
  await using publisher = new AppPublisher({
    ...{ accounts, database, write, hostId: 'g1', clock: systemClock, random: systemRandom },
    log: createLog({ part: 'flaps', level: 'silent' }),
  })
  const { id } = accounts.putNetworkPolicy(by, { app: 'owl', ...webOnly })
  publisher.changed()
  const deadline = { deadlineMs: 60_000 }
  await pollUntil('the row', () => rows().length === 1, deadline)
  const appId = String(accounts.app('owl')?.id)
  assert.deepEqual(
    [rows()[0]?.['id'], rows()[0]?.['app_id'], rows()[0]?.['selector'], rows()[0]?.['rules']],
    [id, appId, '{"all":true}', JSON.stringify(webOnly.rules)],
  )
  accounts.putNetworkPolicy(by, { app: 'owl', id, ...webOnly, rules: [] })
  publisher.changed()
  await pollUntil('the change', () => rows()[0]?.['rules'] === '[]', deadline)
  accounts.deleteApp(by, { app: 'owl' })
  publisher.changed()
  await pollUntil('the end', () => rows().length === 0, deadline)
})
