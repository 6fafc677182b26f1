import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { connect } from 'node:tls'
import { KeyRing, openAccounts } from '#accounts'
import { createLog, pollUntil, systemClock, systemRandom } from '#base'
import { Agent, loadAgentConfig, writeTrialAgent } from '#corrosion'
import {
  type Certificates,
  issueLocally,
  openListener,
  openLocalAuthority,
  openRouting,
  readEdgeKeyRing,
  StaticRouter,
  serve,
  TICKET_KEY_BYTES,
} from '#proxy'
import { newKeyLine } from '#seal'
import { readCustomCertificate } from './custom-certificate.ts'
import { loadFlapsConfig } from './flaps-config.ts'
import { openFlaps } from './open-flaps.ts'

const by = { who: 'cli:test', requestId: '01TEST' }
const log = createLog({ part: 'flaps', level: 'silent', format: 'json' })
const hostname = 'www.example.com'
/** The edge has no certificate for the name. */
const TLS_ALERT = { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' }

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

/** An edge of the proxy in front of one machine, with these certificates. @returns its port */
async function openEdge(opened: AsyncDisposableStack, certificates: Certificates) {
  const machine = createServer((_request, response) => response.end('a page'))
  opened.defer(() => void machine.close().closeAllConnections())
  await once(machine.listen(0, '127.0.0.1'), 'listening')
  const portOf = (server: typeof machine) => (server.address() as AddressInfo).port
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const port = portOf(probe)
  await once(probe.close(), 'close')
  const fd = openListener('127.0.0.1', port)
  opened.defer(() => closeSync(fd))
  const service = {
    ...{ app: 'owl', hosts: [], response_headers: {}, proxy_proto_version: 1 as const },
    ...{ h2_backend: false, pristine: false, compress: false, keep_body_bytes: 0 },
    ports: [{ port, handlers: ['tls' as const, 'http' as const], force_https: false }],
    machines: [{ address: '127.0.0.1', port: portOf(machine) }],
  }
  const serving = serve({
    ...{ router: new StaticRouter({ services: [service] }), certificates, listeners: [fd] },
    ...{ region: 'ams', log, ticketKey: Buffer.alloc(TICKET_KEY_BYTES, 7) },
  })
  opened.defer(() => serving.close())
  return port
}

/** What a visitor gets who trusts this authority and asks for the name. @throws what its TLS says */
async function visit(port: number, servername: string, ca: string) {
  const socket = connect({
    ...{ port, host: '127.0.0.1', servername, ca, ALPNProtocols: ['http/1.1'] },
  })
  try {
    await once(socket, 'secureConnect')
    const fingerprint = socket.getPeerX509Certificate()?.fingerprint256
    socket.end(`GET / HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`)
    let answer = ''
    for await (const bytes of socket) answer += String(bytes)
    return { answer, fingerprint }
  } finally {
    socket.destroy()
  }
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
  const port = await openEdge(opened, routing.certificates)
  const { answer, fingerprint } = await visit(port, hostname, authority.chain)
  assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*a page$/)
  assert.equal(fingerprint, new X509Certificate(brought.chain).fingerprint256)
  await assert.rejects(visit(port, 'other.example.com', authority.chain), TLS_ALERT)
  const database = readFileSync(join(folder, 'state.db'))
  const secret = brought.key.split('\n')[1] ?? assert.fail('a key has lines')
  assert.ok(!database.includes(secret), 'the replica has the key sealed alone')
  await reach('the name', () => routing.table.hostnames.find(hostname) !== undefined)
  const at = `${flaps.address}/v1/apps/owl/certificates/${hostname}`
  const gone = await fetch(at, { method: 'DELETE', headers: { authorization: token } })
  assert.equal(gone.status, 204)
  await reach('its end', () => shown() === undefined)
  await assert.rejects(visit(port, hostname, authority.chain), TLS_ALERT)
  await reach('the end of the name', () => routing.table.hostnames.find(hostname) === undefined)
})
