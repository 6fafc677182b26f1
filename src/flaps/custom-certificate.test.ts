import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test from 'node:test'
import { type Accounts, KeyRing, openAccounts } from '#accounts'
import { createLog, systemRandom } from '#base'
import { PLATFORM_SCHEMA } from '#corrosion'
import { fc } from '#property'
import {
  CertificateStore,
  customSealContext,
  EdgeKeyRing,
  issueLocally,
  openLocalAuthority,
} from '#proxy'
import { newKeyLine } from '#seal'
import { generateClusterCa } from '#trust'
import { certificateChanges, type EdgeSeal } from './certificate-rows.ts'
import { readCustomCertificate } from './custom-certificate.ts'
import { FlapsWorld } from './fixture/flaps-world.ts'
import { StillClock } from './fixture/still-clock.ts'

const path = '/apps/heron/certificates'
const by = { who: 'cli:test', requestId: '01TEST' }
const DAY_MS = 86_400_000
const clock = new StillClock()
const hostname = 'www.example.com'
const ca = await newAuthority()

async function newAuthority() {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-ca-'))
  try {
    return await openLocalAuthority(folder, clock.nowMs())
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** As people have it in files; good for 90 days. */
async function bring(names: readonly string[] = [hostname]) {
  const { chain: fullchain, key: privateKey } = await issueLocally(ca, names, clock.nowMs())
  const [leaf = ''] = /^.*?-----END CERTIFICATE-----\n/s.exec(fullchain) ?? []
  return { fullchain, privateKey, leaf }
}

const read = (input: { fullchain: string; privateKey: string; hostname?: string }) =>
  readCustomCertificate({ hostname, ...input }, clock.nowMs())

test('a chain with the key of its leaf is taken for each name that it is for', async () => {
  const { fullchain, privateKey, leaf } = await bring([hostname, '*.birds.example'])
  const taken = read({ fullchain: `junk\r\n${fullchain.replaceAll('\n', '\r\n')}`, privateKey })
  assert.ok(taken.chain.startsWith(leaf.trim()))
  assert.equal(taken.chain.match(/BEGIN CERTIFICATE/g)?.length, 2)
  assert.equal(Math.round((taken.notAfterMs - clock.nowMs()) / DAY_MS), 90)
  const sec1 = createPrivateKey(privateKey).export({ type: 'sec1', format: 'pem' })
  assert.equal(read({ fullchain: leaf, privateKey: String(sec1) }).key, taken.key)
  read({ fullchain, privateKey, hostname: '*.birds.example' })
  read({ fullchain, privateKey, hostname: 'owl.birds.example' })
})

test('what edges could not serve, or visitors would refuse, is refused with what is wrong', async () => {
  const { fullchain, privateKey, leaf } = await bring()
  const other = await bring()
  const strangers = await generateClusterCa({ clock })
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
  const ed25519 = generateKeyPairSync('ed25519').privateKey
  const pem = (key: typeof rsa, more = {}) =>
    String(key.export({ type: 'pkcs8', format: 'pem', ...more }))
  const locked = pem(createPrivateKey(privateKey), { cipher: 'aes-256-cbc', passphrase: 'secret' })
  for (const [input, wrong] of [
    [{ fullchain: '' }, /no certificate/],
    [
      { fullchain: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' },
      /cannot be read/,
    ],
    [{ fullchain: leaf.repeat(11) }, /more than 10 certificates/],
    [{ fullchain: `${leaf}${'x'.repeat(65_536)}` }, /more than 65536 bytes/],
    [{ fullchain: `${leaf}\n${strangers.certificatePem}` }, /1 of fullchain is not signed by .* 2/],
    [{ fullchain: `${leaf}\n${other.leaf}` }, /not signed/],
    [{ privateKey: '' }, /private_key cannot be read/],
    [{ privateKey: other.privateKey }, /not the key of the first certificate/],
    [{ fullchain: ca.chain, privateKey }, /not the key of the first certificate/],
    [{ privateKey: locked }, /passphrase/],
    [{ privateKey: pem(rsa) }, /RSA of 2048 bits/],
    [{ privateKey: pem(ed25519) }, /RSA of 2048 bits/],
    [{ hostname: 'example.com' }, /not for example\.com: it names DNS:www\.example\.com/],
    [{ hostname: '*.example.com' }, /not for \*\.example\.com/],
  ] as const) {
    const refused = { code: 'flaps.unprocessable', message: wrong }
    assert.throws(() => read({ fullchain, privateKey, ...input }), refused)
  }
  const at = (ms: number) => () =>
    readCustomCertificate({ hostname, fullchain, privateKey }, clock.nowMs() + ms)
  assert.throws(at(91 * DAY_MS), { message: /expired at 2027-/ })
  assert.throws(at(-DAY_MS), { message: /not valid before 2026-/ })
})

test('no text makes the reader of chains and keys throw anything but its refusal', async () => {
  const { fullchain, privateKey } = await bring()
  const spoilt = (text: string) =>
    fc
      .tuple(fc.nat(text.length), fc.nat(40), fc.string({ maxLength: 40, unit: 'binary' }))
      .map(([from, count, put]) => `${text.slice(0, from)}${put}${text.slice(from + count)}`)
  fc.assert(
    fc.property(spoilt(fullchain), spoilt(privateKey), (chain, key) => {
      for (const input of [
        { fullchain: chain, privateKey },
        { fullchain, privateKey: key },
      ]) {
        try {
          read(input)
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'flaps.unprocessable')
        }
      }
    }),
  )
})

test('a custom certificate is shown with its end, beside the one that edges get, and either can go', async () => {
  const still = new StillClock()
  await using world = await FlapsWorld.open({ clock: still })
  const { fullchain, privateKey } = await bring()
  const body = { hostname: 'WWW.example.com', fullchain, private_key: privateKey }
  const made = await world.call('POST', `${path}/custom`, { body })
  assert.equal(made.status, 201)
  assert.ok(!JSON.stringify(made.body).includes('PRIVATE KEY'))
  const { acme_requested, status, certificates, dns_requirements: needs } = made.body
  assert.deepEqual([acme_requested, status], [false, 'pending_ownership'])
  assert.deepEqual([certificates[0].source, certificates[0].issued[0].type], ['custom', 'ecdsa'])
  assert.deepEqual(needs.ownership, {
    name: '_fly-ownership.www.example.com',
    app_value: 'app-app_heron',
    org_value: 'org-org_birds',
  })
  world.dns.set(hostname, { ownershipTxt: ['app-other', 'org-org_birds'] })
  const checked = await world.call('POST', `${path}/${hostname}/check`)
  assert.deepEqual([checked.body.status, checked.body.validation_errors], ['active', []])
  assert.equal(checked.body.dns_records.ownership_txt, 'app-other;org-org_birds')

  await world.call('POST', `${path}/acme`, { body: { hostname } })
  const [row] = (await world.call('GET', path)).body.certificates
  assert.deepEqual([row.has_custom_certificate, row.acme_requested], [true, true])
  still.advance(65 * DAY_MS)
  const near = (await world.call('GET', `${path}/${hostname}`)).body
  assert.equal(near.validation_errors[0].code, 'custom_certificate_expires_soon')
  assert.match(near.validation_errors[0].message, /edges get takes its place/)
  still.advance(30 * DAY_MS)
  const late = (await world.call('GET', `${path}/${hostname}`)).body
  assert.equal(late.validation_errors[0].code, 'custom_certificate_expired')
  assert.deepEqual([late.status, late.certificates[0].status], ['pending_validation', 'expired'])

  const custom = `${path}/${hostname}/custom`
  const kept = await world.call('DELETE', custom)
  assert.deepEqual([kept.status, kept.body.warning, kept.body.certificates], [200, undefined, []])
  assert.equal((await world.call('DELETE', custom)).status, 404)
  const bare = await world.call('DELETE', `${path}/${hostname}/acme`)
  assert.deepEqual([bare.status, bare.body.acme_requested], [200, false])
  assert.match(bare.body.warning, /no certificate any more/)
  assert.equal((await world.call('DELETE', `${path}/${hostname}/acme`)).status, 404)
  assert.equal((await world.call('GET', `${path}/${hostname}`)).status, 200)
})

test('a refused certificate changes nothing', async () => {
  await using world = await FlapsWorld.open({ clock })
  const { fullchain, privateKey } = await bring(['other.example.com'])
  const body = { hostname, fullchain, private_key: privateKey }
  const refused = await world.call('POST', `${path}/custom`, { body })
  assert.equal(refused.status, 422)
  assert.match(
    refused.body.error,
    /^Validation failed: the certificate is not for www\.example\.com/,
  )
  assert.equal((await world.call('GET', path)).body.total_count, 0)
  const lacking = await world.call('POST', `${path}/custom`, { body: { hostname } })
  assert.equal(lacking.status, 400)
})

/** Accounts and a replica, as a gateway has them. */
function gateway() {
  const ring = new KeyRing(newKeyLine('first', systemRandom), systemRandom)
  const accounts = openAccounts({ path: ':memory:', ring })
  accounts.createOrganization(by, { slug: 'birds' })
  accounts.createApp(by, { organization: 'birds', app: 'owl' })
  const database = new DatabaseSync(':memory:')
  database.exec(PLATFORM_SCHEMA)
  const settle = (edgeSeal?: EdgeSeal) => {
    const changes = () => certificateChanges({ accounts, database, hostId: 'g1', edgeSeal })
    const first = changes()
    for (const [sql, values] of first.values()) database.prepare(sql).run(...values)
    assert.equal(changes().size, 0, 'once is enough')
    return first.size
  }
  return { accounts, database, settle }
}

const sealOf = (ring: EdgeKeyRing): EdgeSeal => ({
  seal: (name, key) => ring.seal(Buffer.from(key), customSealContext(name)),
  isNewest: (sealed) => ring.isNewest(sealed),
})

/** What an edge with this ring shows. */
function shown(database: DatabaseSync, keys: EdgeKeyRing) {
  const log = createLog({ part: 'proxy', level: 'silent' })
  const store = new CertificateStore({ keys, nowMs: () => clock.nowMs(), log })
  const rows = database.prepare('SELECT * FROM custom_certs').all()
  for (const row of rows) store.putCustom(row as Parameters<typeof store.putCustom>[0])
  return store.find(hostname, false)
}

function put(accounts: Accounts, { chain, key }: { chain: string; key: string }) {
  const times = { notBeforeMs: 0, notAfterMs: clock.nowMs() + DAY_MS }
  accounts.setCustomCertificate(by, { app: 'owl', hostname, chain, key, ...times })
}

test('edges open what a gateway sealed, also after their keys were rotated, and its end reaches them', async () => {
  const { accounts, database, settle } = gateway()
  using _accounts = accounts
  const line = newKeyLine('k1', systemRandom)
  const ring = new EdgeKeyRing(line, systemRandom)
  const taken = read(await bring())
  put(accounts, taken)
  assert.equal(settle(), 0, 'a gateway without the ring leaves it to others')
  assert.equal(settle(sealOf(ring)), 1)
  assert.deepEqual(shown(database, ring), { chain: taken.chain, key: taken.key })
  const both = new EdgeKeyRing(line + newKeyLine('k2', systemRandom), systemRandom)
  assert.equal(settle(sealOf(both)), 1)
  assert.deepEqual(shown(database, both)?.key, taken.key)
  assert.equal(shown(database, ring), undefined)
  assert.equal(settle(), 0)
  accounts.removeCustomCertificate(by, { app: 'owl', hostname })
  settle(sealOf(both))
  assert.equal(shown(database, both), undefined)
  const [row] = database.prepare('SELECT app_id, sealed_key FROM custom_certs').all()
  assert.deepEqual({ ...row }, { app_id: '1', sealed_key: null }, 'the name stays')
  accounts.removeHostname(by, { app: 'owl', hostname })
  settle(sealOf(both))
  assert.equal(database.prepare('SELECT * FROM custom_certs').all().length, 0)
})

test('no certificate is got for a name that only somebody brought one for, until it is asked for', async () => {
  const { accounts, database, settle } = gateway()
  using _accounts = accounts
  const seal = sealOf(new EdgeKeyRing(newKeyLine('k', systemRandom), systemRandom))
  const wanted = () => database.prepare('SELECT hostname FROM certs').all().length
  put(accounts, read(await bring()))
  settle(seal)
  assert.equal(wanted(), 0)
  accounts.addHostname(by, { app: 'owl', hostname })
  settle(seal)
  assert.equal(wanted(), 1)
  accounts.stopAcme(by, { app: 'owl', hostname })
  settle(seal)
  assert.equal(wanted(), 0)
})
