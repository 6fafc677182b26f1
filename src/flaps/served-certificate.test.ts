import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { createSecureContext } from 'node:tls'
import { KeyRing, openAccounts } from '#accounts'
import { createLog, pollUntil, systemClock, systemRandom } from '#base'
import { Agent, loadAgentConfig, writeTrialAgent } from '#corrosion'
import { issueLocally, openLocalAuthority, openRouting, readEdgeKeyRing } from '#proxy'
import { newKeyLine } from '#seal'
import { readCustomCertificate } from './custom-certificate.ts'
import { loadFlapsConfig } from './flaps-config.ts'
import { openFlaps } from './open-flaps.ts'

const by = { who: 'cli:test', requestId: '01TEST' }
const log = createLog({ part: 'flaps', level: 'silent', format: 'json' })
const hostname = 'www.example.com'

/** Files of a gateway beside the agent of `url`; its accounts, a token for them, and the edges' key ring. */
function install(folder: string, url: string) {
  const line = newKeyLine('first', systemRandom)
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
  const path = join(folder, 'accounts.db')
  const accounts = openAccounts({ path, ring: new KeyRing(line, systemRandom) })
  accounts.createOrganization(by, { slug: 'birds' })
  accounts.addRootKey(by, { organization: 'birds' })
  accounts.createApp(by, { organization: 'birds', app: 'owl' })
  const { header } = accounts.createToken(by, { organization: 'birds', profile: 'org' })
  const edgeKeys = file('edge-keys', newKeyLine('edges', systemRandom))
  const seed = 'SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n'
  const config = file(
    'flaps.toml',
    `region = "ams"
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
replica = "${folder}/state.db"
[agent]
socket = "${folder}/admin.sock"
host = "gw1"
url = "${url}"
edge_keys = "${edgeKeys}"
[accounts]
database = "${path}"
key_ring = "${file('keys', line)}"
[nats]
servers = ["nats://127.0.0.1:1"]
seed_file = "${file('seed', seed)}"
client = "flaps-1"
[hosts]
key_file = "${file('cluster-key', '5a'.repeat(32))}"
`,
  )
  return { accounts, config, token: header, edgeKeys }
}

test('a certificate that somebody brings to a gateway is what an edge shows, until it is removed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-served-'))
  await using opened = new AsyncDisposableStack()
  opened.defer(() => rmSync(folder, { recursive: true }))
  const agentConfig = loadAgentConfig(await writeTrialAgent(folder, 0))
  const agent = await Agent.start(agentConfig, (error) => assert.fail(String(error)))
  opened.defer(() => agent.stop())
  const url = `http://127.0.0.1:${agent.apiPort}`
  const { accounts, config, token, edgeKeys } = install(folder, url)
  opened.use(accounts)
  const flaps = opened.use(await openFlaps(loadFlapsConfig(config), { log }))
  const routing = await openRouting({
    ...{ ownHostId: 'edge1', appDomain: 'apps.test', corrosion: { url } },
    ...{ tablePath: join(folder, 'table') },
    ...{ keys: readEdgeKeyRing(edgeKeys, systemRandom), hostOf: () => undefined },
    ...{ backhaulPort: 0, backhaulAddress: undefined },
    ...{ clock: systemClock, random: systemRandom, log },
  })
  opened.defer(() => routing.close())

  const authority = await openLocalAuthority(join(folder, 'ca'), Date.now())
  const brought = await issueLocally(authority, [hostname], Date.now())
  // What the call of the API does, but for its look at DNS: this host's name servers are none of a test's.
  const checked = { hostname, fullchain: brought.chain, privateKey: brought.key }
  const certificate = readCustomCertificate(checked, Date.now())
  accounts.setCustomCertificate(by, { app: 'owl', hostname, ...certificate })
  const shown = () => routing.certificates.find(hostname, false)
  const reach = (what: string, look: () => boolean) => pollUntil(what, look, { deadlineMs: 60_000 })
  await reach('the edge to have it', () => shown() !== undefined)
  assert.equal(shown()?.chain.trim(), brought.chain.trim())
  createSecureContext({ cert: shown()?.chain ?? '', key: shown()?.key ?? '' }) // they fit
  const database = readFileSync(join(folder, 'state.db'))
  const secret = brought.key.split('\n')[1] ?? assert.fail('a key has lines')
  assert.ok(!database.includes(secret), 'the replica has the key sealed alone')
  await reach('the name', () => routing.table.hostnames.find(hostname) !== undefined)
  const at = `${flaps.address}/v1/apps/owl/certificates/${hostname}`
  const gone = await fetch(at, { method: 'DELETE', headers: { authorization: token } })
  assert.equal(gone.status, 204)
  await reach('its end', () => shown() === undefined)
  await reach('the end of the name', () => routing.table.hostnames.find(hostname) === undefined)
})
