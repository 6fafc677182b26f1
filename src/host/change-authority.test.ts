import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { authoritiesIn, namesIn, rootOf } from '#trust'
import { changeAuthority, folderAuthorities } from './change-authority.ts'
import { foundInFolder } from './cluster-folder.ts'

const PLAN = `
[[hosts]]
host = "ams-1"
address = "192.0.2.1"
roles = ["worker", "gateway", "nats"]
names = ["api.example"]
region = { code = "ams" }

[[hosts]]
host = "nrt-1"
address = "192.0.2.2"
roles = ["worker"]
region = { code = "nrt" }
`

async function cluster(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'godwit-authority-'))
  t.after(() => rmSync(root, { recursive: true }))
  const [plan, folder] = [join(root, 'cluster.toml'), join(root, 'cluster')]
  writeFileSync(plan, PLAN)
  await foundInFolder(plan, folder)
  const read = (...names: string[]) => readFileSync(join(folder, ...names), 'utf8')
  const secret = (host: string, name: string) => read(host, 'secrets', name)
  const rootOfFile = (host: string, name: string) =>
    rootOf(secret(host, name), read('ca.pem'), Date.now())
  return { root, plan, folder, read, secret, rootOfFile }
}

test('a cluster gets another CA in three steps, each of which can be taken again', async (t) => {
  const { plan, folder, read, secret, rootOfFile } = await cluster(t)
  const before = folderAuthorities(folder)
  assert.deepEqual([before.state, before.trusted], ['settled', [before.signs]])
  const key = secret('ams-1', 'server.key')

  const toCopy = await changeAuthority(folder, 'announce')
  assert.deepEqual(toCopy, { files: ['ca.pem'], gateways: ['ams-1'] })
  const announced = folderAuthorities(folder)
  await changeAuthority(folder, 'announce')
  assert.deepEqual(folderAuthorities(folder), announced)
  assert.deepEqual([announced.state, announced.signs], ['announced', before.signs])
  assert.equal(announced.trusted.length, 2)
  for (const host of ['ams-1', 'nrt-1']) assert.equal(secret(host, 'ca.pem'), read('ca.pem'))
  assert.equal(rootOfFile('ams-1', 'joining.pem'), before.signs)

  const { files } = await changeAuthority(folder, 'switch')
  assert.deepEqual(files, ['joining.pem', 'joining.key'])
  await changeAuthority(folder, 'switch')
  const switched = folderAuthorities(folder)
  const [, next] = announced.trusted
  assert.deepEqual([switched.state, switched.signs], ['switched', next])
  assert.deepEqual(switched.trusted, announced.trusted)
  for (const name of ['server.pem', 'client.pem', 'joining.pem']) {
    assert.equal(rootOfFile('ams-1', name), next, name)
  }
  assert.equal(secret('ams-1', 'server.key'), key, 'keys stay')
  assert.deepEqual(namesIn(secret('ams-1', 'server.pem')), ['192.0.2.1', 'api.example'])
  const joining = new X509Certificate(secret('ams-1', 'joining.pem'))
  assert(joining.checkPrivateKey(createPrivateKey(secret('ams-1', 'joining.key'))))

  await foundInFolder(plan, folder)
  assert.equal(secret('nrt-1', 'ca.pem'), read('ca.pem'), 'founding again changes no trust')
  assert.deepEqual(folderAuthorities(folder), switched)

  await changeAuthority(folder, 'retire')
  await changeAuthority(folder, 'retire')
  const retired = folderAuthorities(folder)
  assert.deepEqual([retired.state, retired.trusted], ['settled', [next]])
  assert.equal(secret('nrt-1', 'ca.pem'), read('ca.pem'))
  assert(!existsSync(join(folder, 'former-ca.key')))
})

test('steps out of their order are refused, and say which comes next', async (t) => {
  const { folder } = await cluster(t)
  const refused = (fix: RegExp) => (error: { code: string; fix: string }) =>
    error.code === 'host.ca_step_bad' && fix.test(error.fix)
  await assert.rejects(changeAuthority(folder, 'switch'), refused(/announce/))
  await changeAuthority(folder, 'announce')
  await assert.rejects(changeAuthority(folder, 'retire'), refused(/switch/))
  await changeAuthority(folder, 'switch')
  await assert.rejects(changeAuthority(folder, 'announce'), refused(/retire/))
})

test('a switch that ended at any point is taken again', async (t) => {
  const { root, folder } = await cluster(t)
  await changeAuthority(folder, 'announce')
  const [, next] = folderAuthorities(folder).trusted
  // After each of its two renames.
  for (const moves of [
    [['ca.key', 'former-ca.key']],
    [
      ['ca.key', 'former-ca.key'],
      ['next-ca.key', 'ca.key'],
    ],
  ]) {
    const copy = join(root, `copy-${moves.length}`)
    cpSync(folder, copy, { recursive: true })
    for (const [from = '', to = ''] of moves) {
      cpSync(join(copy, from), join(copy, to))
      rmSync(join(copy, from))
    }
    await changeAuthority(copy, 'switch')
    assert.equal(folderAuthorities(copy).signs, next)
    assert.equal(folderAuthorities(copy).state, 'switched')
  }
})

test('founding again renews what ends soon or lacks a name, of the same keys', async (t) => {
  const { plan, folder, secret, read } = await cluster(t)
  const key = secret('ams-1', 'server.key')
  const before = secret('ams-1', 'client.pem')
  await foundInFolder(plan, folder)
  assert.equal(secret('ams-1', 'client.pem'), before, 'nothing is due')
  writeFileSync(plan, PLAN.replace('"api.example"', '"api.example", "api2.example"'))
  await foundInFolder(plan, folder)
  assert.deepEqual(namesIn(secret('ams-1', 'server.pem')), [
    ...['192.0.2.1', 'api.example', 'api2.example'],
  ])
  assert.equal(secret('ams-1', 'server.key'), key)
  assert.equal(authoritiesIn(read('ca.pem')).length, 1)
})
