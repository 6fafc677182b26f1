import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import test from 'node:test'
import { KeyRing, openAccounts } from '#accounts'
import { systemRandom } from '#base'
import { PLATFORM_SCHEMA } from '#corrosion'
import { newKeyLine } from '#seal'
import { generateClusterCa, generateServerCertificate } from '#trust'
import { certificateChanges } from './certificate-rows.ts'
import { FlapsWorld } from './fixture/flaps-world.ts'

const path = '/apps/heron/certificates'
const by = { who: 'cli:test', requestId: '01TEST' }

test('a host name is asked for once, shown with what DNS must say, and given up', async () => {
  await using world = await FlapsWorld.open()
  const { body: address } = await world.call('POST', '/apps/heron/ip_assignments', {
    body: { type: 'v4' },
  })
  const ask = () => world.call('POST', `${path}/acme`, { body: { hostname: 'WWW.example.com' } })
  const made = await ask()
  assert.equal(made.status, 201)
  assert.equal((await ask()).status, 201, 'twice is once')
  const { hostname, status, configured, dns_requirements: needs } = made.body
  assert.deepEqual([hostname, status, configured], ['www.example.com', 'pending_validation', false])
  assert.deepEqual(needs.a, [address.ip])
  world.dns.set('www.example.com', { a: [address.ip], aaaa: [], cname: [] })
  const checked = await world.call('POST', `${path}/www.example.com/check`)
  assert.equal(checked.body.configured, true)
  assert.deepEqual(checked.body.dns_records.resolved_addresses, [address.ip])
  assert.equal((await world.call('DELETE', `${path}/www.example.com`)).status, 204)
  assert.equal((await world.call('DELETE', `${path}/www.example.com`)).status, 404)
  assert.equal((await world.call('GET', `${path}/www.example.com`)).status, 404)
})

test('what an edge has got is shown, a wildcard too', async () => {
  await using world = await FlapsWorld.open()
  await world.call('POST', `${path}/acme`, { body: { hostname: '*.example.com' } })
  const ca = await generateClusterCa()
  const { certificatePem } = await generateServerCertificate(ca, { names: ['www.example.com'] })
  const nowMs = world.clock.nowMs()
  world.database
    .prepare(
      `INSERT INTO certs (hostname, host_id, app_id, chain_pem, not_before, not_after, state)
       VALUES ('*.example.com', 'h1', 'app_heron', ?, ?, ?, 'active')`,
    )
    .run(certificatePem, nowMs - 1_000, nowMs + 86_400_000)
  const { body } = await world.call('GET', `${path}/%2A.example.com`)
  assert.equal(body.status, 'active')
  assert.equal(body.certificates[0].source, 'fly')
  assert.equal(body.certificates[0].issued[0].type, 'ecdsa')
  const list = await world.call('GET', path)
  assert.equal(list.body.certificates[0].has_fly_certificate, true)
})

test('host names come a page at a time, and narrowed', async () => {
  await using world = await FlapsWorld.open()
  for (const name of ['a', 'b', 'c']) {
    await world.call('POST', `${path}/acme`, { body: { hostname: `${name}.example.com` } })
  }
  const first = await world.call('GET', `${path}?limit=2`)
  assert.deepEqual([first.body.certificates.length, first.body.total_count], [2, 3])
  const next = await world.call('GET', `${path}?limit=2&cursor=${first.body.next_cursor}`)
  const names = (body: { certificates: { hostname: string }[] }) =>
    body.certificates.map(({ hostname }) => hostname)
  assert.deepEqual([names(next.body), next.body.next_cursor], [['c.example.com'], undefined])
  assert.deepEqual(names((await world.call('GET', `${path}?filter=b.`)).body), ['b.example.com'])
})

test('a name is of one app, and rows ask for its certificate until it is given up', () => {
  const ring = new KeyRing(newKeyLine('first', systemRandom), systemRandom)
  using accounts = openAccounts({ path: ':memory:', ring })
  accounts.createOrganization(by, { slug: 'birds' })
  for (const app of ['owl', 'kite']) accounts.createApp(by, { organization: 'birds', app })
  const ask = (app: string, hostname: string) => accounts.addHostname(by, { app, hostname })
  ask('owl', 'www.example.com')
  assert.throws(() => ask('kite', 'WWW.example.com'), { code: 'accounts.taken' })
  for (const bad of ['', 'localhost', '192.0.2.1', 'a b.com', '*.com.*', `${'a'.repeat(64)}.com`]) {
    assert.throws(() => ask('owl', bad), { code: 'accounts.bad_input' }, bad)
  }
  const database = new DatabaseSync(':memory:')
  database.exec(PLATFORM_SCHEMA)
  database.exec(`INSERT INTO certs (hostname, host_id) VALUES ('*.platform.example', 'edge')`)
  const settle = () => {
    const changes = () => certificateChanges({ accounts, database, hostId: 'g1' })
    for (const [sql, values] of changes().values()) database.prepare(sql).run(...values)
    assert.equal(changes().size, 0)
    const rows = database.prepare('SELECT hostname, host_id, state FROM certs ORDER BY 1, 2').all()
    return rows.map((row) => Object.values(row).join(' '))
  }
  const own = '*.platform.example edge pending'
  assert.deepEqual(settle(), [own, 'www.example.com g1 pending'])
  const appId = String(accounts.app('owl')?.id)
  database
    .prepare(
      `INSERT INTO certs (hostname, host_id, app_id, state) VALUES ('www.example.com', 'edge', ?, 'active')`,
    )
    .run(appId)
  assert.equal(settle().length, 3)
  accounts.removeHostname(by, { app: 'owl', hostname: 'www.example.com' })
  assert.deepEqual(settle(), [own])
})
