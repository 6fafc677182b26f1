import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test from 'node:test'
import { type Accounts, KeyRing, openAccounts } from '#accounts'
import { createLog, pollUntil, systemClock, systemRandom } from '#base'
import { PLATFORM_SCHEMA } from '#corrosion'
import { newKeyLine } from '#seal'
import { AppPublisher } from './app-publisher.ts'
import type { Statement } from './app-rows.ts'

const by = { who: 'cli:test', requestId: '01TEST' }
const log = createLog({ part: 'flaps', level: 'silent' })
const reach = (what: string, look: () => boolean) => pollUntil(what, look, { deadlineMs: 60_000 })

function open() {
  const ring = new KeyRing(newKeyLine('first', systemRandom), systemRandom)
  const accounts = openAccounts({ path: ':memory:', ring })
  accounts.createOrganization(by, { slug: 'birds' })
  const database = new DatabaseSync(':memory:')
  database.exec(PLATFORM_SCHEMA)
  const rows = (table: 'apps' | 'ips' | 'wireguard_peers') =>
    database.prepare(`SELECT * FROM ${table}`).all() as Record<string, unknown>[]
  let isAway = false
  const write = async (statements: readonly Statement[]) => {
    if (isAway) throw new Error('away')
    for (const [sql, values] of statements) database.prepare(sql).run(...values)
  }
  const publisher = (hostId: string) =>
    new AppPublisher({
      ...{ accounts, database, write, hostId, adoptAfterMs: 500 },
      ...{ clock: systemClock, random: systemRandom, log },
    })
  const setAway = (value: boolean) => {
    isAway = value
  }
  return { accounts, rows, publisher, setAway }
}

test('apps and the addresses that connections come to are told, and untold, also after the replica was away', async () => {
  const { accounts, rows, publisher, setAway } = open()
  using _accounts = accounts
  await using own = publisher('gw1')
  accounts.createApp(by, { organization: 'birds', app: 'owl' })
  accounts.assignAddress(by, { app: 'owl', ip: '192.0.2.1', kind: 'v4' })
  accounts.assignAddress(by, { app: 'owl', ip: '192.0.2.7', kind: 'egress_v4' })
  own.changed()
  await reach('the address', () => rows('ips').length === 1)
  const [app] = rows('apps')
  assert.deepEqual([app?.['name'], app?.['org_slug'], app?.['host_id']], ['owl', 'birds', 'gw1'])
  assert.deepEqual([rows('ips')[0]?.['address'], rows('ips')[0]?.['app_id']], ['192.0.2.1', '1'])
  setAway(true)
  accounts.deleteApp(by, { app: 'owl' })
  own.changed()
  await reach('a failure', () => own.counters.failures > 0)
  setAway(false)
  await reach('the end', () => rows('apps').length === 0 && rows('ips').length === 0)
})

test('what another gateway did and does not tell is told by this one after a while', async () => {
  const { accounts, rows, publisher } = open()
  using _accounts = accounts
  await using _other = publisher('gw2')
  accounts.createApp(by, { organization: 'birds', app: 'owl' })
  await reach('the row', () => rows('apps').length === 1)
  assert.equal(rows('apps')[0]?.['host_id'], 'gw2')
})

test('a peer is told to its gateway, and its end too', async () => {
  const { accounts, rows, publisher } = open()
  using _accounts = accounts
  await using own = publisher('gw1')
  const publicKey = Buffer.alloc(32, 7).toString('base64')
  accounts.addWireguardPeer(by, {
    ...{ organization: 'birds', name: 'laptop', publicKey, gateway: 'nrt-1', region: 'nrt' },
    addressOf: (network, slot) => `fdaa:0:${network}:a7b:9:0:a:${slot}02`,
  })
  own.changed()
  await reach('the row', () => rows('wireguard_peers').length === 1)
  const [row] = rows('wireguard_peers')
  assert.deepEqual(
    [row?.['public_key'], row?.['gateway'], row?.['org_id'], row?.['network_id'], row?.['name']],
    [publicKey, 'nrt-1', '1', 1, 'laptop'],
  )
  accounts.removeWireguardPeer(by, { organization: 'birds', name: 'laptop' })
  own.changed()
  await reach('its end', () => rows('wireguard_peers').length === 0)
})

test('what cannot be opened of one app stops no other: it stays as it is, and is said once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-publisher-'))
  await using opened = new AsyncDisposableStack()
  opened.defer(() => rmSync(folder, { recursive: true }))
  const lines = [newKeyLine('kept', systemRandom), newKeyLine('lost', systemRandom)]
  const openWith = (...keys: (string | undefined)[]) => {
    const ring = new KeyRing(keys.join(''), systemRandom)
    return openAccounts({ path: join(folder, 'accounts.db'), ring })
  }
  const bring = (to: Accounts, app: string) =>
    to.setCustomCertificate(by, {
      ...{ app, hostname: `www.${app}.example`, chain: `chain of ${app}`, key: 'a key' },
      ...{ notBeforeMs: 0, notAfterMs: 1 },
    })
  {
    using former = openWith(...lines)
    former.createOrganization(by, { slug: 'birds' })
    for (const app of ['kite', 'owl', 'wren']) former.createApp(by, { organization: 'birds', app })
    const policy = { name: 'p', selector: { all: true }, rules: [] }
    former.putNetworkPolicy(by, { app: 'wren', ...policy })
    bring(former, 'owl') // with the newest key, which is lost then
  }
  using damaged = new DatabaseSync(join(folder, 'accounts.db'))
  damaged.exec(`UPDATE network_policies SET rules = '{'`)
  using accounts = openWith(lines[0])
  using database = new DatabaseSync(':memory:')
  database.exec(PLATFORM_SCHEMA)
  const wren = String(accounts.app('wren')?.id)
  database.exec(`INSERT INTO apps (id, name) VALUES ('${wren}', 'wren')`)
  const said: string[] = []
  const listening = {
    ...log,
    error: (about: { app?: string; hostname?: string }) => {
      said.push(about.app ?? about.hostname ?? '')
    },
  } as unknown as typeof log
  const write = async (statements: readonly Statement[]) => {
    for (const [sql, values] of statements) database.prepare(sql).run(...values)
  }
  const names = (sql: string) =>
    database
      .prepare(sql)
      .all()
      .map(({ name }) => name)
  await using publisher = new AppPublisher({
    ...{ accounts, database, write, hostId: 'gw1', log: listening },
    ...{ clock: systemClock, random: systemRandom },
    edgeSeal: { seal: () => Buffer.from('sealed'), isNewest: () => true },
  })
  const told = () => names('SELECT hostname AS name FROM custom_certs ORDER BY 1')
  bring(accounts, 'kite')
  publisher.changed()
  await reach('the other certificate', () => told().length > 0)
  assert.deepEqual(told(), ['www.kite.example'])
  accounts.createApp(by, { organization: 'birds', app: 'robin' })
  publisher.changed()
  const apps = () => names('SELECT name FROM apps ORDER BY name')
  await reach('the app that came later', () => apps().includes('robin'))
  assert.deepEqual(
    apps(),
    ['kite', 'owl', 'robin', 'wren'],
    'a row of an app that cannot be read stays',
  )
  assert.deepEqual(said, ['wren', 'www.owl.example'])
  bring(accounts, 'owl')
  publisher.changed()
  await reach('the certificate, brought again', () => told().length === 2)
  assert.equal(publisher.counters.failures, 0)
})
