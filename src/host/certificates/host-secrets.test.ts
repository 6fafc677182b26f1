import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { authoritiesIn, generateClusterCa, generateJoiningCa, renewCertificate } from '#trust'
import { foundCluster, type PlannedHost } from '../found-cluster.ts'
import { loadHostConfig } from '../host-config.ts'
import { readHostSecrets, takeSecrets, trustOf } from './host-secrets.ts'

/** A host with its files. */
async function founded(t: TestContext, roles: ('worker' | 'gateway' | 'nats')[]) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-secrets-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const region = { code: 'ams', name: '', latitude: 0, longitude: 0 }
  const planned: PlannedHost[] = [
    { host: 'ams-1', region, address: '192.0.2.1', roles, settings: { folder } },
    { host: 'ams-2', region, address: '192.0.2.2', roles: ['gateway', 'nats'] },
  ]
  const { ca, hosts } = await foundCluster({
    hosts: roles.includes('nats') ? planned.slice(0, 1) : planned,
  })
  const [own] = hosts
  mkdirSync(join(folder, 'secrets'))
  for (const [name, text] of Object.entries(own?.secrets ?? {})) {
    writeFileSync(join(folder, 'secrets', name), text)
  }
  writeFileSync(join(folder, 'host.toml'), own?.config ?? '')
  const config = loadHostConfig(join(folder, 'host.toml'))
  const read = (name: string) => readFileSync(join(folder, 'secrets', name), 'utf8')
  return { folder, config, ca, read }
}

const nowMs = Date.now()
const asWorker = { isGateway: false, nowMs }

test('a host takes what its gateway tells, and says what it trusts and shows', async (t) => {
  const { folder, config, ca, read } = await founded(t, ['worker'])
  const next = await generateClusterCa()
  const prints = [ca, next].map((one) => authoritiesIn(one.certificatePem)[0]?.fingerprint ?? '')
  const both = `${ca.certificatePem}${next.certificatePem}`
  const trust = () => trustOf('ams-1', readHostSecrets(config), nowMs)
  assert.deepEqual(trust().trusts, prints.slice(0, 1))

  assert.deepEqual(await takeSecrets(config, { 'ca.pem': both, 'cluster.key': 'k2' }, asWorker), [
    ...['ca.pem', 'cluster.key'],
  ])
  assert.deepEqual([trust().trusts, trust().signedBy], [prints, prints[0]])
  assert.equal(read('cluster.key'), 'k2')
  assert.equal(statSync(join(folder, 'secrets', 'cluster.key')).mode & 0o777, 0o600)
  assert.deepEqual(await takeSecrets(config, { 'ca.pem': both }, asWorker), [])

  const joining = await generateJoiningCa(next)
  const told = {
    'server.pem': await renewCertificate(joining, read('server.pem')),
    'client.pem': await renewCertificate(joining, read('client.pem')),
    'ca.pem': next.certificatePem,
    'host.toml': 'no secret',
    '../x': 'no secret either',
  }
  assert.deepEqual(await takeSecrets(config, told, asWorker), [
    'server.pem',
    'client.pem',
    'ca.pem',
  ])
  assert.deepEqual([trust().trusts, trust().signedBy], [[prints[1]], prints[1]])
  const days = (trust().endsAtMs - nowMs) / 86_400_000
  assert(days > 89 && days < 91)
  assert.equal(trust().signsUntilMs, undefined)
})

test('what would cut a host off, or is of other keys, is not taken, not even in part', async (t) => {
  const { config, ca, read } = await founded(t, ['worker'])
  const next = await generateClusterCa()
  const joining = await generateJoiningCa(next)
  const refused = { code: 'host.answer_bad' }
  const files = ['ca.pem', 'server.pem', 'client.pem', 'cluster.key']
  const before = files.map(read)
  await assert.rejects(
    takeSecrets(config, { 'ca.pem': next.certificatePem, 'cluster.key': 'k2' }, asWorker),
    refused,
  )
  const server = await renewCertificate(joining, read('server.pem'))
  await assert.rejects(takeSecrets(config, { 'server.pem': server }, asWorker), refused)
  const another = await generateJoiningCa(ca)
  const client = await renewCertificate(another, read('server.pem'))
  await assert.rejects(takeSecrets(config, { 'client.pem': client }, asWorker), refused)
  await assert.rejects(takeSecrets(config, { 'ca.pem': 'nothing' }, asWorker), {
    code: 'trust.certificate_bad',
  })
  assert.deepEqual(files.map(read), before)
})

test("a gateway's own files are its operator's", async (t) => {
  const { config, read } = await founded(t, ['worker', 'gateway', 'nats'])
  const joining = { certificatePem: read('joining.pem'), privateKeyPem: read('joining.key') }
  const server = await renewCertificate(joining, read('server.pem'))
  const told = { 'server.pem': server, 'ca.pem': 'x', 'cluster.key': 'y', 'edge-keys': 'z' }
  assert.deepEqual(await takeSecrets(config, told, { isGateway: true, nowMs }), ['server.pem'])
  assert.notEqual(trustOf('ams-1', readHostSecrets(config), nowMs).signsUntilMs, undefined)
})
