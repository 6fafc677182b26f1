import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import test from 'node:test'
import { KeyRing, openAccounts } from '#accounts'
import { createLog, seededRandom, systemClock } from '#base'
import { newKeyLine } from '#seal'
import {
  authoritiesIn,
  generateCertificateRequest,
  generateClusterCa,
  generateJoiningCa,
  type TrustRow,
} from '#trust'
import { FlapsWorld } from '../fixture/flaps-world.ts'
import { buildServer } from '../server.ts'
import type { ClusterMember } from './cluster-member.ts'
import { JoinAuthority } from './join-authority.ts'
import { RenewalAuthority } from './renewal-authority.ts'

const log = createLog({ part: 'flaps', level: 'silent', format: 'json' })
const by = { who: 'cli:test', requestId: '01TEST' }
const nkeyOf = (letter: string) => `U${letter.repeat(55)}`
const gateway: ClusterMember = {
  ...{ host: 'ams-1', region: 'ams', address: '192.0.2.1', nkey: nkeyOf('A') },
  roles: ['worker', 'gateway', 'nats'],
}
const old: ClusterMember = {
  ...{ host: 'nrt-1', region: 'nrt', address: '192.0.2.2', nkey: nkeyOf('B'), roles: ['worker'] },
}
/** What `inject` says that it comes from. */
const SOURCE = '127.0.0.1'
const ca = await generateClusterCa()
const joining = await generateJoiningCa(ca)
const root = authoritiesIn(ca.certificatePem)[0]?.fingerprint ?? ''
const [server, client] = [await generateCertificateRequest(), await generateCertificateRequest()]

async function open() {
  const random = seededRandom(1)
  const ring = new KeyRing(newKeyLine('one', random), random)
  const accounts = openAccounts({ path: ':memory:', ring })
  const joined: ClusterMember[] = []
  const alive = new Set(['nrt-1'])
  const trust: TrustRow[] = []
  const caPem = ca.certificatePem
  const around = {
    files: () => ({ caPem, joining, root, shared: { 'cluster.key': 'k' } }),
    trust: () => trust,
    ...{ clock: systemClock, log },
  }
  const authority = new JoinAuthority({
    ...{ ...around, hostId: 'ams-1', accounts, appDomain: 'apps.example', founded: [gateway, old] },
    since: () => ({ joined, removed: [] }),
    regions: () => [{ code: 'nrt', name: 'Tokyo', latitude: 35.7, longitude: 139.7 }],
    isAlive: ({ host }) => alive.has(host),
    publish: async (member) => {
      joined.splice(0, joined.length, ...joined.filter(({ host }) => host !== member.host), member)
    },
  })
  const world = await FlapsWorld.open()
  const fastify = buildServer({
    services: world.newServices(),
    endpoints: [],
    log,
    join: {
      authority,
      renewal: new RenewalAuthority({ ...around, members: () => authority.members() }),
    },
  })
  return {
    ...{ accounts, joined, alive, trust, fastify },
    newToken(changes: Partial<Parameters<typeof accounts.createJoinToken>[1]> = {}) {
      const input = { roles: ['worker'], region: 'nrt', ttlMs: 60_000, ...changes }
      const { id, secret } = accounts.createJoinToken(by, input)
      return { id, secret }
    },
    async join(token: { id: string; secret: string }, host: string, changes: object = {}) {
      const requests = { server_request: server.requestPem, client_request: client.requestPem }
      const body = { token, host, nkey: nkeyOf('C'), ...requests, ...changes }
      const url = '/v1/cluster/join'
      const reply = await fastify.inject({ method: 'POST', url, payload: JSON.stringify(body) })
      return { status: reply.statusCode, body: reply.json() }
    },
    async [Symbol.asyncDispose]() {
      await fastify.close()
      await world[Symbol.asyncDispose]()
      accounts[Symbol.dispose]()
    },
  }
}

test('a server with a token is told all that a host needs, and no key that signs', async () => {
  await using at = await open()
  assert.equal((await at.fastify.inject('/v1/cluster/ca')).body, ca.certificatePem)
  const { status, body } = await at.join(at.newToken(), 'nrt-2')
  assert.equal(status, 200, JSON.stringify(body))
  const { secrets, members, region, app_domain: appDomain } = body
  assert.deepEqual([region.name, appDomain], ['Tokyo', 'apps.example'])
  const own = {
    host: 'nrt-2',
    region: 'nrt',
    address: SOURCE,
    roles: ['worker'],
    nkey: nkeyOf('C'),
  }
  assert.deepEqual(members, [gateway, old, own])
  assert.deepEqual(at.joined, [own], 'all hosts are told')
  const names = ['ca.pem', 'client.pem', 'cluster.key', 'server.pem']
  assert.deepEqual(Object.keys(secrets).sort(), names)
  assert(!JSON.stringify(body).includes('PRIVATE KEY'))
  const certificate = new X509Certificate(secrets['server.pem'])
  assert(certificate.verify(new X509Certificate(joining.certificatePem).publicKey))
  assert.equal(certificate.subjectAltName, `IP Address:${SOURCE}`)
  assert.equal(new X509Certificate(secrets['client.pem']).subjectAltName, undefined)
})

test('an answer that was lost comes again, to the same server alone', async () => {
  await using at = await open()
  const token = at.newToken()
  assert.equal((await at.join(token, 'nrt-2')).status, 200)
  assert.equal((await at.join(token, 'nrt-2')).status, 200)
  assert.equal((await at.join(token, 'nrt-2', { nkey: nkeyOf('D') })).status, 409)
  assert.equal(at.joined.length, 1)
})

test('of two servers that ask at once for one name, one gets it', async () => {
  await using at = await open()
  const token = at.newToken({ usesMax: 2 })
  const asking = ['D', 'E'].map((letter) => at.join(token, 'nrt-2', { nkey: nkeyOf(letter) }))
  const statuses = (await Promise.all(asking)).map(({ status }) => status).sort()
  assert.deepEqual(statuses, [200, 409])
})

test('without a good token nobody joins, and nothing is told or kept', async () => {
  await using at = await open()
  const token = at.newToken({ host: 'nrt-2' })
  const cases: [number, { id: string; secret: string }, string, object?][] = [
    [401, { ...token, secret: 'x'.repeat(43) }, 'nrt-2'],
    [401, { ...token, id: '0000' }, 'nrt-2'],
    [403, token, 'nrt-3'],
    [400, token, 'nrt-2', { nkey: 'SUsecret' }],
    [400, token, 'nrt-2', { server_request: 'nothing' }],
    [400, token, '../x'],
    [403, token, 'nrt-2', { address: '192.0.2.77' }],
    [400, token, 'nrt-2', { address: 'a.example' }],
  ]
  for (const [expected, one, host, changes] of cases) {
    const { status, body } = await at.join(one, host, changes)
    const isExpected = expected === 400 ? status >= 400 && status < 500 : status === expected
    assert(isExpected, `${status} ${JSON.stringify([host, changes, body])}`)
    assert.equal(body.secrets, undefined)
  }
  assert.deepEqual(at.joined, [])
  const entries = at.accounts.audit().filter(({ operation }) => operation === 'useJoinToken')
  assert.deepEqual(
    entries.map(({ result }) => result),
    ['accounts.join_refused'],
  )
})

test('another address than it comes from takes a token that says so', async () => {
  await using at = await open()
  const token = at.newToken({ host: 'nrt-2', ip: '192.0.2.77' })
  const { status, body } = await at.join(token, 'nrt-2')
  assert.equal(status, 200)
  assert.equal(at.joined[0]?.address, '192.0.2.77')
  assert.equal(new X509Certificate(body.secrets['server.pem']).checkIP('192.0.2.77'), '192.0.2.77')
})

test('names and addresses of hosts are not to be had, but the name of a dead worker with a token for that', async () => {
  await using at = await open()
  const plain = at.newToken({ usesMax: 9 })
  const taken = await at.join(plain, 'nrt-1')
  assert.equal(taken.status, 409)
  assert.match(taken.body.error, /--name nrt-1 --replace/)
  const same = at.newToken({ host: 'nrt-9', ip: gateway.address })
  assert.equal((await at.join(same, 'nrt-9')).status, 409)
  const replacing = at.newToken({ host: 'nrt-1', replaces: true })
  assert.match((await at.join(replacing, 'nrt-1')).body.error, /still answers/)
  at.alive.clear()
  assert.equal((await at.join(replacing, 'nrt-1')).status, 200)
  assert.equal(at.joined[0]?.nkey, nkeyOf('C'))
  const gatewayName = at.newToken({ host: 'ams-1', replaces: true })
  assert.equal((await at.join(gatewayName, 'ams-1')).status, 409)
})

test("while the cluster's authority is changed nobody joins whom others would not know", async () => {
  await using at = await open()
  const row = (host: string, trusts: string[], signedBy: string): TrustRow => ({
    ...{ host, trusts, signedBy, endsAtMs: 0, signsUntilMs: undefined, shares: '' },
  })
  at.trust.push(row('ams-1', ['former', root], 'former'), row('nrt-1', ['former'], 'former'))
  const token = at.newToken()
  const refused = await at.join(token, 'nrt-2')
  assert.equal(refused.status, 412)
  assert.match(refused.body.error, /not yet known to nrt-1/)
  at.trust[1] = row('nrt-1', ['former', root], 'former')
  assert.equal((await at.join(token, 'nrt-2')).status, 200)
})
