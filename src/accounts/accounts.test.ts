import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test from 'node:test'
import { errorCode, seededRandom, systemClock, systemRandom } from '#base'
import { openVerifier, parseBundle, requireAuthorized, verifyBundle } from '#macaroon'
import { fc } from '#property'
import { newKeyLine } from '#seal'
import { Ed25519Key, parseCertificate, parseCertificateLine } from '#ssh'
import type { Accounts, AccountsReads } from './accounts.ts'
import { KeyRing, readKeyRing } from './key-ring.ts'
import { openAccounts } from './open-accounts.ts'
import { RevocationFeed } from './revocation-feed.ts'
import { TOKEN_PROFILES } from './token-profile.ts'

const call = { who: 'cli:test', requestId: '01TEST' }
const firstLine = newKeyLine('first', seededRandom(1))
const bothLines = `${firstLine}${newKeyLine('second', seededRandom(2))}`
const ringOf = (text: string) => new KeyRing(text, systemRandom)
const code = (expected: string) => (error: unknown) => errorCode(error) === expected

function world(path = ':memory:', ring = ringOf(firstLine)): Accounts {
  return openAccounts({ path, ring })
}

function furnished(accounts: Accounts): Accounts {
  accounts.createOrganization(call, { slug: 'acme', name: 'Acme' })
  accounts.createApp(call, { organization: 'acme', app: 'web' })
  return accounts
}

/** A database file of its own, removed afterwards. */
function withFile(work: (path: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-accounts-'))
  try {
    work(join(folder, 'accounts.db'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function verifierOf(accounts: Accounts, feed = new RevocationFeed(accounts, feedOptions)) {
  feed.poll()
  return openVerifier({
    keyFor: (kid) => accounts.rootKeySecret(kid),
    revocations: feed,
    cache: { entriesMax: 10, ttlMs: 60_000 },
    clock: systemClock,
  })
}

const feedOptions = { clock: systemClock, staleAfterMs: 60_000 }

const reads: ReadonlySet<keyof AccountsReads> = new Set<keyof AccountsReads>([
  'organizations',
  'organization',
  'organizationByNumber',
  'organizationOfNetwork',
  'members',
  'app',
  'apps',
  'secretKeys',
  'useSecretKey',
  'identityKeys',
  'signIdentity',
  'machineToken',
  'keyToken',
  'secrets',
  'addresses',
  'networkPolicies',
  'wireguardPeers',
  'hostnames',
  'customCertificateKey',
  'releases',
  'appOfRelease',
  'rootKeys',
  'rootKeySecret',
  'sshAuthority',
  'tokens',
  'joinTokens',
  'joinToken',
  'userOfToken',
  'logins',
  'revocationsAfter',
  'audit',
  'auditDamage',
])

test('every method that is not a read leaves one entry in the audit log, failed calls too', () => {
  using accounts = world()
  const claims = ['claimMachineName', 'releaseMachineName', 'beginLogin', 'redeemLogin'] // facts of nobody yet
  const writes = Object.keys(accounts).filter(
    (name) => !reads.has(name as keyof AccountsReads) && !claims.includes(name),
  )
  assert.ok(writes.length >= 14)
  for (const name of writes) {
    const before = accounts.audit({ limit: 1_000 }).length
    const write = Reflect.get(accounts, name) as (of: typeof call, input: object) => unknown
    let result = 'ok'
    try {
      write(call, { slug: 'nobody.', organization: 'none', app: 'none', uuid: '', values: {} })
    } catch (error) {
      result = errorCode(error) ?? 'internal'
    }
    const entries = accounts.audit({ limit: 1_000 })
    assert.equal(entries.length, before + 1, name)
    assert.equal(entries[0]?.operation, name)
    assert.equal(entries[0]?.result, result)
    assert.equal(entries[0]?.requestId, call.requestId)
  }
})

test('a failed write changes nothing but the log', () => {
  using accounts = furnished(world())
  const values = { GOOD: 'x', 'BAD NAME': 'y' }
  assert.throws(() => accounts.setSecrets(call, { app: 'web', values }), code('accounts.bad_input'))
  assert.deepEqual(accounts.secrets('web'), { version: 0, secrets: [] })
})

test('releases are numbered for each app, keep what was deployed, and go with the app', () => {
  using accounts = furnished(world())
  const release = (image: string) =>
    accounts.createRelease(call, {
      app: 'web',
      image,
      strategy: 'rolling',
      definition: { app: 'web' },
    })
  const first = release('a')
  const { id, version, status } = release('b')
  assert.deepEqual([first.version, version, status], [1, 2, 'pending'])
  const failed = accounts.updateRelease(call, {
    app: 'web',
    id,
    status: 'failed',
    error: 'it broke',
  })
  assert.deepEqual(accounts.releases('web'), [failed, first])
  assert.deepEqual(failed.definition, { app: 'web' })
  assert.equal(failed.createdBy, call.who)
  const unknown = { app: 'web', id: 'rel_none', status: 'complete' } as const
  assert.throws(() => accounts.updateRelease(call, unknown), code('accounts.not_found'))
  const odd = { app: 'web', id, status: 'done' as 'complete' }
  assert.throws(() => accounts.updateRelease(call, odd), code('accounts.bad_input'))
  accounts.deleteApp(call, { app: 'web' })
  accounts.createApp(call, { organization: 'acme', app: 'web' })
  assert.deepEqual(accounts.releases('web'), [])
})

test('a release whose client is not heard of in time reads as interrupted, until it is again', () => {
  let nowMs = 1_000_000
  const clock = { ...systemClock, nowMs: () => nowMs }
  using accounts = furnished(openAccounts({ path: ':memory:', ring: ringOf(firstLine), clock }))
  const input = { app: 'web', image: 'a', strategy: 'rolling', definition: {} }
  const { id } = accounts.createRelease(call, input)
  const tell = (status: 'running' | 'complete', ttlMs?: number) =>
    accounts.updateRelease(call, { app: 'web', id, status, ttlMs })
  const after = (ms: number) => {
    nowMs += ms
    return accounts.releases('web')[0]?.status
  }
  assert.deepEqual([after(3_599_999), after(1)], ['pending', 'interrupted'])
  assert.equal(tell('running', 180_000).status, 'running')
  assert.deepEqual([after(179_999), after(1)], ['running', 'interrupted'])
  assert.match(accounts.releases('web')[0]?.error ?? '', /nothing was heard of its deploy since/)
  tell('running')
  assert.deepEqual([after(3_599_999), after(1)], ['running', 'interrupted'], 'as a stock client')
  tell('complete')
  assert.deepEqual([after(1e9), accounts.releases('web')[0]?.error], ['complete', ''])
  for (const ttlMs of [0, -1, Number.NaN, 86_400_001]) {
    assert.throws(() => tell('running', ttlMs), code('accounts.bad_input'))
  }
})

test('a release has the name of the token that made it, for people to read', () => {
  using accounts = furnished(world())
  const input = { app: 'web', image: 'a', strategy: 'rolling', definition: {} }
  const { uuid } = accounts.createToken(call, { organization: 'acme', profile: 'org', name: 'ci' })
  const by = (who: string) => accounts.createRelease({ ...call, who }, input).createdByName
  assert.equal(by(`${uuid}@tokens.internal`), 'ci')
  assert.equal(by(uuid), undefined)
  assert.equal(by('148ed599c14189@machines.internal'), undefined)
  assert.equal(accounts.releases('web').at(-1)?.createdByName, 'ci')
})

test('no value of a secret, no key and no token is in the database or the log', () => {
  withFile((path) => {
    const accounts = furnished(world(path))
    accounts.setSecrets(call, { app: 'web', values: { PASSWORD: 'swordfish' } })
    const { header, kid } = accounts.createToken(call, { organization: 'acme', profile: 'org' })
    const key = accounts.rootKeySecret(Buffer.from(kid, 'hex'))
    accounts[Symbol.dispose]()
    using database = new DatabaseSync(path)
    const tables = database.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table'`).all()
    for (const { name } of tables) {
      for (const row of database.prepare(`SELECT * FROM ${name}`).all()) {
        const bytes = Buffer.concat(
          Object.values(row).map((value) =>
            value instanceof Uint8Array ? value : Buffer.from(String(value)),
          ),
        )
        assert.equal(bytes.includes('swordfish'), false, String(name))
        assert.equal(bytes.includes(header.slice(10, 60)), false, String(name))
        assert.ok(key !== undefined && !bytes.includes(key), String(name))
      }
    }
  })
})

test('secrets come back to who delivers them; others see digests that change with the value', () => {
  using accounts = furnished(world())
  const first = accounts.setSecrets(call, { app: 'web', values: { A: '1', B: '2' } })
  const second = accounts.setSecrets(call, { app: 'web', values: { A: '3', B: null } })
  assert.deepEqual([first.version, second.version], [1, 2])
  assert.notEqual(first.secrets[0]?.digest, second.secrets[0]?.digest)
  const opened = accounts.openSecrets(call, { app: 'web', host: 'host-1' })
  assert.deepEqual([...opened], [['A', '3']])
  assert.equal(accounts.audit({ operation: 'openSecrets' })[0]?.target['host'], 'host-1')
})

test('equal values of two apps have different digests', () => {
  using accounts = furnished(world())
  accounts.createApp(call, { organization: 'acme', app: 'api' })
  const digests = ['web', 'api'].map(
    (app) => accounts.setSecrets(call, { app, values: { A: 'same' } }).secrets[0]?.digest,
  )
  assert.notEqual(digests[0], digests[1])
})

test('a sealed value that was changed, or moved to another row, is refused', () => {
  withFile((path) => {
    using accounts = furnished(world(path))
    accounts.setSecrets(call, { app: 'web', values: { A: 'one', B: 'two' } })
    const { kid } = accounts.addRootKey(call, { organization: 'acme' })
    using intruder = new DatabaseSync(path)
    intruder.exec(
      `UPDATE app_secrets SET sealed = (SELECT sealed FROM app_secrets WHERE name = 'A')`,
    )
    const input = { app: 'web', host: 'host-1' }
    assert.throws(() => accounts.openSecrets(call, input), code('accounts.tampered'))
    accounts.createOrganization(call, { slug: 'other' })
    intruder.exec('UPDATE root_keys SET organization = 2')
    const bytes = Buffer.from(kid, 'hex')
    assert.throws(() => accounts.rootKeySecret(bytes), code('accounts.tampered'))
  })
})

test('the audit log refuses changes, and shows those that were forced', () => {
  withFile((path) => {
    using accounts = furnished(world(path))
    assert.equal(accounts.auditDamage(), undefined)
    using intruder = new DatabaseSync(path)
    assert.throws(() => intruder.exec('DELETE FROM audit'), /only grows/)
    assert.throws(() => intruder.exec(`UPDATE audit SET who = 'x'`), /only grows/)
    intruder.exec(`DROP TRIGGER audit_stays; UPDATE audit SET who = 'x' WHERE sequence = 2`)
    assert.equal(accounts.auditDamage(), 2)
  })
})

test('after resealing, the former sealing key may leave the ring', () => {
  withFile((path) => {
    const before = furnished(world(path))
    before.setSecrets(call, { app: 'web', values: { A: 'one' } })
    const { kid } = before.addRootKey(call, { organization: 'acme' })
    const key = before.rootKeySecret(Buffer.from(kid, 'hex'))
    before[Symbol.dispose]()
    const between = world(path, ringOf(bothLines))
    assert.equal(between.reseal(call, {}), 3)
    assert.equal(between.reseal(call, {}), 0)
    between[Symbol.dispose]()
    using after = world(path, ringOf(newKeyLine('second', seededRandom(2))))
    assert.deepEqual(after.rootKeySecret(Buffer.from(kid, 'hex')), key)
    assert.equal(after.openSecrets(call, { app: 'web', host: 'h' }).get('A'), 'one')
  })
})

test('a certificate that somebody brought is of one app, sealed, and gone with its name', () => {
  withFile((path) => {
    using accounts = furnished(world(path, ringOf(firstLine)))
    const [app, hostname, key] = ['web', 'www.example.com', 'what nobody reads']
    const brought = { chain: 'CHAIN', key, notBeforeMs: 1, notAfterMs: 2 }
    const only = () => accounts.hostnames(app)[0]
    accounts.setCustomCertificate(call, { app, hostname: 'WWW.example.com', ...brought })
    assert.equal(only()?.wantsAcme, false)
    accounts.addHostname(call, { app, hostname })
    const { chain, notAfterMs } = only()?.custom ?? {}
    assert.deepEqual([only()?.wantsAcme, chain, notAfterMs], [true, 'CHAIN', 2])
    accounts.createApp(call, { organization: 'acme', app: 'other' })
    assert.throws(
      () => accounts.setCustomCertificate(call, { app: 'other', hostname, ...brought }),
      code('accounts.taken'),
    )
    const theirs = { app: 'other', hostname }
    assert.throws(() => accounts.removeCustomCertificate(call, theirs), code('accounts.not_found'))
    assert.throws(() => accounts.stopAcme(call, theirs), code('accounts.not_found'))
    assert.equal(accounts.customCertificateKey(hostname), key)
    assert.ok(!readFileSync(path).includes(key) && !readFileSync(`${path}-wal`).includes(key))
    assert.ok(!JSON.stringify(accounts.audit()).includes(key))
    using rotated = world(path, ringOf(bothLines))
    assert.ok(rotated.reseal(call, {}) >= 1)
    assert.equal(rotated.customCertificateKey(hostname), key)
    accounts.removeHostname(call, { app, hostname })
    assert.equal(accounts.customCertificateKey(hostname), undefined)
  })
})

test('resealing that dies half-way leaves everything as it was', () => {
  withFile((path) => {
    const before = furnished(world(path))
    before.setSecrets(call, { app: 'web', values: { A: 'one', B: 'two' } })
    before.addRootKey(call, { organization: 'acme' })
    before[Symbol.dispose]()
    using intruder = new DatabaseSync(path)
    intruder.exec(`UPDATE app_secrets SET sealed = zeroblob(60) WHERE name = 'B'`)
    using between = world(path, ringOf(bothLines))
    assert.throws(() => between.reseal(call, {}), code('accounts.tampered'))
    using former = world(path)
    assert.ok(former.rootKeySecret(Buffer.from(former.rootKeys('acme')[0]?.kid ?? '', 'hex')))
  })
})

test('a key ring that others can read is refused', () => {
  withFile((path) => {
    writeFileSync(path, firstLine, { mode: 0o644 })
    assert.throws(() => readKeyRing(path, systemRandom), code('accounts.key_file_bad'))
    assert.throws(() => readKeyRing(`${path}.none`, systemRandom), code('accounts.key_file_bad'))
    for (const text of ['', 'a b\n', `${firstLine}${firstLine}`]) {
      assert.throws(() => ringOf(text), code('accounts.key_file_bad'))
    }
  })
})

test('new tokens have the newest key; old ones verify until their key is retired', () => {
  using accounts = furnished(world())
  const make = () => accounts.createToken(call, { organization: 'acme', profile: 'org' })
  const old = make()
  accounts.addRootKey(call, { organization: 'acme' })
  const young = make()
  assert.notEqual(old.kid, young.kid)
  const verifier = verifierOf(accounts)
  const isGood = ({ header }: { header: string }) =>
    verifyBundle(parseBundle(header), verifier).verdicts.every(({ verdict }) => verdict.verified)
  assert.deepEqual([isGood(old), isGood(young)], [true, true])
  accounts.retireRootKey(call, { organization: 'acme', kid: old.kid })
  assert.deepEqual([isGood(old), isGood(young)], [false, true])
  const newest = { organization: 'acme', kid: young.kid }
  assert.throws(() => accounts.retireRootKey(call, newest), code('accounts.root_key_newest'))
})

test('a revoked token is refused as soon as the feed was polled, from the cache too', () => {
  using accounts = furnished(world())
  const { uuid, header } = accounts.createToken(call, { organization: 'acme', profile: 'org' })
  const feed = new RevocationFeed(accounts, feedOptions)
  const verifier = verifierOf(accounts, feed)
  const verdict = () => verifyBundle(parseBundle(header), verifier).verdicts[0]?.verdict
  assert.equal(verdict()?.verified, true)
  const first = accounts.revokeToken(call, { uuid })
  assert.deepEqual(accounts.revokeToken(call, { uuid }), first)
  feed.poll()
  const after = verdict()
  assert.ok(after !== undefined && !after.verified && after.failure.reason === 'revoked')
  assert.ok(accounts.tokens('acme')[0]?.revokedAtMs !== undefined)
})

test('a verifier that has not heard of revocations for too long refuses', () => {
  using accounts = furnished(world())
  const { header } = accounts.createToken(call, { organization: 'acme', profile: 'org' })
  let nowMs = 0
  const clock = { ...systemClock, monotonicMs: () => nowMs }
  const feed = new RevocationFeed(accounts, { clock, staleAfterMs: 1_000 })
  const verifier = verifierOf(accounts, feed)
  const reason = () => {
    const verdict = verifyBundle(parseBundle(header), verifier).verdicts[0]?.verdict
    return verdict?.verified === false ? verdict.failure.reason : 'good'
  }
  assert.equal(reason(), 'good')
  nowMs = 1_001
  assert.equal(reason(), 'revocations_unknown')
  feed.poll()
  assert.equal(reason(), 'good')
})

test('an app that goes takes its tokens along, and its id is never given again', () => {
  using accounts = furnished(world())
  const input = { organization: 'acme', app: 'web', profile: 'deploy' } as const
  const { uuid } = accounts.createToken(call, input)
  const former = accounts.app('web')
  accounts.deleteApp(call, { app: 'web' })
  assert.deepEqual(
    accounts.revocationsAfter(0).map((one) => one.uuid),
    [uuid],
  )
  const next = accounts.createApp(call, { organization: 'acme', app: 'web' })
  assert.ok(former !== undefined && next.id > former.id)
})

// biome-ignore format: a table
const rights = [
  // profile         read app, write app, read other app, write org, run ls, use wg
  ['org',            'yes yes yes yes yes yes'],
  ['readonly',       'yes no  yes no  no  no'],
  ['deploy',         'yes yes no  no  yes yes'],
  ['machine',        'no  no  no  no  yes no'],
  ['machine-exec',   'yes no  no  no  yes no'],
  ['ssh',            'yes no  no  no  no  no'],
] as const

for (const [profile, expected] of rights) {
  test(`a token of profile ${profile} opens what it is for, and nothing else`, () => {
    using accounts = furnished(world())
    const scope = profile === 'org' || profile === 'readonly' ? {} : { app: 'web' }
    const machine = profile === 'machine' ? { machine: 'm1' } : {}
    const input = { organization: 'acme', profile, expiresInS: 60, ...scope, ...machine }
    const { header } = accounts.createToken(call, input)
    const verified = verifyBundle(parseBundle(header), verifierOf(accounts))
    const answers = [
      { action: 1, orgId: 1, appId: 1 },
      { action: 2, orgId: 1, appId: 1 },
      { action: 1, orgId: 1, appId: 2 },
      { action: 2, orgId: 1 },
      { action: 16, orgId: 1, appId: 1, machine: 'm1', command: ['ls'] },
      { action: 2, orgId: 1, feature: 'wg' },
    ].map((access) => {
      try {
        return requireAuthorized(verified, [access], { nowMs: Date.now() }) && 'yes'
      } catch (error) {
        assert.equal(errorCode(error), 'macaroon.denied')
        return 'no'
      }
    })
    assert.deepEqual(answers, expected.split(/ +/))
    const later = { nowMs: Date.now() + 120_000 }
    assert.throws(() => requireAuthorized(verified, [{ action: 1, orgId: 1 }], later))
  })
}

test('every profile has its row of rights', () => {
  assert.deepEqual(
    rights.map(([profile]) => profile),
    TOKEN_PROFILES,
  )
})

test('hostile inputs give typed errors and leave no half-made rows', () => {
  using accounts = furnished(world())
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom("'; DROP TABLE apps", ''))
  fc.assert(
    fc.property(text, text, (one, two) => {
      const tries = [
        () => accounts.createOrganization(call, { slug: `${one}!` }),
        () => accounts.createApp(call, { organization: 'acme', app: `${two} ` }),
        () => accounts.addMember(call, { organization: 'acme', email: `${one} ${two}` }),
        () => accounts.assignAddress(call, { app: 'web', ip: one, kind: 'v4' }),
        () => accounts.revokeToken(call, { uuid: one }),
        () => accounts.setSecrets(call, { app: 'web', values: { [`-${one}`]: two } }),
      ]
      for (const attempt of tries) assert.throws(attempt, /./)
      for (const { result } of accounts.audit({ limit: tries.length })) {
        assert.match(result, /^(accounts|base)\./)
      }
    }),
    { numRuns: 40 },
  )
  assert.equal(accounts.organizations().length, 1)
  assert.equal(accounts.apps('acme').length, 1)
  assert.equal(accounts.auditDamage(), undefined)
})

test('one address has one app, but for those that are shared', () => {
  using accounts = furnished(world())
  accounts.createApp(call, { organization: 'acme', app: 'api' })
  const give = (app: string, ip: string, kind: 'v4' | 'shared_v4') =>
    accounts.assignAddress(call, { app, ip, kind })
  give('web', '192.0.2.1', 'v4')
  assert.throws(() => give('api', '192.0.2.1', 'v4'), code('accounts.taken'))
  give('web', '192.0.2.2', 'shared_v4')
  give('api', '192.0.2.2', 'shared_v4')
  assert.throws(() => give('api', '192.0.2.2', 'shared_v4'), code('accounts.taken'))
  accounts.releaseAddress(call, { app: 'web', ip: '192.0.2.1' })
  give('api', '192.0.2.1', 'v4')
})

test('certificates for ssh are signed by one authority of the organisation, which survives a change of the key ring', () => {
  withFile((path) => {
    const line = new Ed25519Key(Buffer.alloc(32, 5)).publicLine()
    const input = { organization: 'acme', app: 'web', publicKey: line }
    const first = newKeyLine('first', seededRandom(1))
    const ring = `${first}${newKeyLine('second', seededRandom(2))}`
    let authority: Uint8Array | undefined
    {
      using accounts = furnished(world(path, ringOf(first)))
      assert.equal(accounts.sshAuthority('acme'), undefined)
      const { certificate } = accounts.issueSshCertificate(call, input)
      authority = accounts.sshAuthority('acme')
      const said = parseCertificate(parseCertificateLine(certificate))
      assert.deepEqual(said.authority, authority)
      assert.deepEqual(said.apps, [String(accounts.app('web')?.id)])
      assert.deepEqual(said.principals, ['root', 'fly'])
      assert.equal(said.validBeforeS - said.validAfterS, 3660)
    }
    {
      using accounts = openAccounts({ path, ring: ringOf(ring) })
      assert.ok(accounts.reseal(call, {}) >= 1)
    }
    using accounts = openAccounts({ path, ring: ringOf(newKeyLine('second', seededRandom(2))) })
    const { certificate } = accounts.issueSshCertificate(call, input)
    assert.deepEqual(parseCertificate(parseCertificateLine(certificate)).authority, authority)
    for (const wrong of [{ validHours: 73 }, { principals: [] }, { principals: ['a b'] }]) {
      const attempt = () => accounts.issueSshCertificate(call, { ...input, ...wrong })
      assert.throws(attempt, { code: 'accounts.bad_input' })
    }
    const other = { ...input, publicKey: 'ssh-rsa AAAA' }
    assert.throws(() => accounts.issueSshCertificate(call, other), { code: 'ssh.key_bad' })
  })
})
