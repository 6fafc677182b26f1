import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test from 'node:test'
import type { TLSSocket } from 'node:tls'
import { KeyRing, openAccounts } from '#accounts'
import { createLog, pollUntil, systemRandom } from '#base'
import { PLATFORM_SCHEMA } from '#corrosion'
import { newKeyLine } from '#seal'
import { generateClusterCa, generateServerCertificate } from '#trust'
import { loadFlapsConfig, parseListen } from './flaps-config.ts'
import { openFlaps } from './open-flaps.ts'

const by = { who: 'cli:test', requestId: '01TEST' }
const log = createLog({ part: 'flaps', level: 'silent', format: 'json' })

/**
 * Files of an installation: accounts with `birds`, a replica with one region, a seed.
 * @param more a line of its configuration
 */
function install(folder: string, more = ''): { config: string; token: string } {
  const line = newKeyLine('first', systemRandom)
  writeFileSync(join(folder, 'keys'), line, { mode: 0o600 })
  const path = join(folder, 'accounts.db')
  using accounts = openAccounts({ path, ring: new KeyRing(line, systemRandom) })
  accounts.createOrganization(by, { slug: 'birds' })
  accounts.addRootKey(by, { organization: 'birds' })
  const { header } = accounts.createToken(by, { organization: 'birds', profile: 'org' })
  const replica = new DatabaseSync(join(folder, 'corrosion.db'))
  replica.exec(PLATFORM_SCHEMA)
  replica.exec("INSERT INTO regions (name, host_id) VALUES ('ams', 'h1')")
  replica.close()
  writeFileSync(
    join(folder, 'seed'),
    'SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n',
  )
  writeFileSync(join(folder, 'cluster-key'), '5a'.repeat(32))
  const config = join(folder, 'flaps.toml')
  writeFileSync(
    config,
    `region = "ams"
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
replica = "${folder}/corrosion.db"
${more}
[accounts]
database = "${path}"
key_ring = "${folder}/keys"
[nats]
servers = ["nats://127.0.0.1:1"]
seed_file = "${folder}/seed"
client = "flaps-1"
[hosts]
key_file = "${folder}/cluster-key"
`,
  )
  return { config, token: header }
}

test('an instance starts from its configuration, and without NATS refuses only what needs it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-flaps-'))
  try {
    const { config, token } = install(folder)
    await using flaps = await openFlaps(loadFlapsConfig(config), { log })
    const call = async (method: string, path: string, body?: unknown) => {
      const init = { method, headers: { authorization: token } }
      const sent = body === undefined ? init : { ...init, body: JSON.stringify(body) }
      return (await fetch(`${flaps.address}/v1${path}`, sent)).status
    }
    assert.equal(await call('POST', '/apps', { name: 'owl', org_slug: 'birds' }), 201)
    assert.equal(await call('GET', '/apps/owl/machines'), 200)
    assert.equal(await call('GET', '/platform/regions'), 200)
    const machine = { config: { image: 'nginx' } }
    assert.equal(await call('POST', '/apps/owl/machines', machine), 503)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('new clients are shown the certificate that was put in the place of another, and who is connected is served on', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-flaps-'))
  await using opened = new AsyncDisposableStack()
  opened.defer(() => rmSync(folder, { recursive: true }))
  const ca = await generateClusterCa()
  const put = (name: string, text: string) => {
    writeFileSync(join(folder, `${name}.new`), text)
    renameSync(join(folder, `${name}.new`), join(folder, name))
  }
  const putCertificate = async () => {
    const made = await generateServerCertificate(ca, { names: ['127.0.0.1'] })
    put('server.pem', made.certificatePem)
    put('server.key', made.privateKeyPem)
    return new X509Certificate(made.certificatePem).fingerprint256
  }
  const first = await putCertificate()
  const tls = `tls = { cert_file = "${folder}/server.pem", key_file = "${folder}/server.key" }`
  const { config } = install(folder, tls)
  const flaps = opened.use(await openFlaps(loadFlapsConfig(config), { log }))
  const client = () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: ca.certificatePem })
    opened.defer(() => agent.destroy())
    return agent
  }
  const ask = async (agent: Agent) => {
    const request = get(`${flaps.address}/v1/openapi.json`, { agent })
    const [response] = await once(request, 'response')
    response.resume()
    await once(response, 'end')
    const shown = (request.socket as TLSSocket).getPeerX509Certificate()?.fingerprint256
    return [response.statusCode, shown, request.reusedSocket]
  }
  const before = client()
  assert.deepEqual(await ask(before), [200, first, false])
  const second = await putCertificate()
  const isShown = async () => (await ask(client()))[1] === second
  await pollUntil('the new certificate', isShown, { deadlineMs: 20_000 })
  assert.deepEqual(await ask(before), [200, first, true])
})

test('an address to listen on is IPv4, IPv6 in brackets or a name, with a port', () => {
  assert.deepEqual(parseListen('127.0.0.1:4280'), { host: '127.0.0.1', port: 4280 })
  assert.deepEqual(parseListen('[::1]:80'), { host: '::1', port: 80 })
  for (const text of ['', '4280', '::1:80', 'host:', 'host:99999']) {
    assert.throws(() => parseListen(text), { code: 'base.value_bad' }, text)
  }
})
