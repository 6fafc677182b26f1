import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { createLog, pollUntil, systemClock, systemRandom } from '#base'
import { Agent, loadAgentConfig, writeTrialAgent } from '#corrosion'
import { newKeyLine } from '#seal'
import { acmeAuthority } from '../certificates/acme-authority.ts'
import { AcmeServer } from '../certificates/acme-server.fixture.ts'
import { CertificateKeeper } from '../certificates/certificate-keeper.ts'
import { CertificateOrders, type DnsHook } from '../certificates/certificate-orders.ts'
import { CertificateStore } from '../certificates/certificate-store.ts'
import { corrosionCertificateRows } from '../certificates/corrosion-certificate-rows.ts'
import { EdgeKeyRing } from '../certificates/edge-key-ring.ts'
import { makePrivateKey } from '../certificates/issue-certificate.ts'
import { OrderRecords } from '../certificates/order-records.ts'
import { CLAIM_SETTLE_MS } from '../certificates/renewal-duty.ts'
import { followCorrosion } from './follow-corrosion.ts'
import { RoutingTable } from './routing-table.ts'

const log = createLog({ part: 'proxy', level: 'fatal' })
const reach = (what: string, look: () => boolean) => pollUntil(what, look, { deadlineMs: 60_000 })

async function startAgent(folder: string): Promise<Agent> {
  const path = await writeTrialAgent(folder, 0)
  return Agent.start(loadAgentConfig(path), (error) => assert.fail(String(error)))
}

async function write(agent: Agent, sql: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${agent.apiPort}/v1/transactions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify([sql]),
  })
  assert.ok(!(await response.text()).includes('"error"'), sql)
}

test('rows of a real agent become routes, and a name that wants a certificate gets one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-agent-'))
  const agent = await startAgent(folder)
  const stop = new AbortController()
  const authority = await new AcmeServer().start()
  const url = `http://127.0.0.1:${agent.apiPort}`
  let skewMs = 0
  const clock = { ...systemClock, nowMs: () => Date.now() + skewMs }
  const keys = new EdgeKeyRing(newKeyLine('k', systemRandom), systemRandom)
  const store = new CertificateStore({ keys, nowMs: clock.nowMs, log })
  const table = new RoutingTable({
    ownHostId: 'h1',
    onRow: (name, row, isThere) => {
      if (name === 'certs' && isThere) store.put(row)
    },
  })
  const signal = stop.signal
  const following = followCorrosion({ url, table, clock, random: systemRandom, log })
  try {
    await write(
      agent,
      `INSERT INTO hosts (id, region, state, is_edge) VALUES ('h1', 'ams', 'ready', 1)`,
    )
    await write(agent, `INSERT INTO apps (id, name) VALUES ('a1', 'a')`)
    await write(agent, `INSERT INTO ips (address, app_id, kind) VALUES ('192.0.2.1', 'a1', 'v4')`)
    await write(
      agent,
      `INSERT INTO machines (id, host_id, app_id, region, state, instance_id, config)
       VALUES ('m1', 'h1', 'a1', 'ams', 'started', '01', '{"env":{"PRIMARY_REGION":"ams"}}')`,
    )
    await write(
      agent,
      `INSERT INTO services (machine_id, protocol, internal_port, app_id, ports, autostart)
       VALUES ('m1', 'tcp', 8080, 'a1', '[{"port":443,"handlers":["tls","http"]}]', 1)`,
    )
    const running = () => {
      const route = table.lookup('192.0.2.1', 443, 'tcp')
      return typeof route === 'string' ? [] : route.regions.flatMap(({ bands }) => bands.flat())
    }
    await reach('the route', () => running().length === 1)
    assert.equal(running()[0]?.machine.primaryRegion, 'ams')
    await write(agent, `UPDATE machines SET state = 'stopped' WHERE id = 'm1'`)
    await reach('the stop', () => running().length === 0)

    await write(
      agent,
      `INSERT INTO certs (hostname, host_id, app_id, updated_at) VALUES ('*.x.test', 'gw', 'a1', 1)`,
    )
    await reach('the name', () => table.rows('certs').size === 1)
    const rows = corrosionCertificateRows({ url })
    const directoryUrl = authority.directoryUrl
    const dns: DnsHook = {
      present: async (name, value) => void authority.txt.set(name, value),
      remove: async (name) => void authority.txt.delete(name),
    }
    const orders = new CertificateOrders({
      ...{ ownHostId: 'h1', rows, keys, clock, log, random: systemRandom, publishMs: 0, dns },
      authority: acmeAuthority({ directoryUrl, accountKey: await makePrivateKey() }),
      records: new OrderRecords(join(folder, 'orders'), keys),
    })
    const keeper = new CertificateKeeper({ table, orders, rows, clock, log, signal })
    await keeper.look()
    await reach('the claim', () => table.rows('certs').size === 2)
    await keeper.look()
    assert.equal(keeper.underWayCount, 0, 'a claim must settle first')
    skewMs += CLAIM_SETTLE_MS
    await keeper.look()
    assert.equal(keeper.underWayCount, 1)
    await reach('the certificate', () => store.find('www.x.test', false) !== undefined)
    await reach('the end of the order', () => keeper.underWayCount === 0)
    await keeper.look()
    assert.equal(keeper.underWayCount, 0, 'nothing is due any more')
    assert.equal(authority.issued.length, 1)
  } finally {
    stop.abort()
    await following[Symbol.asyncDispose]()
    authority.stop()
    await agent.stop()
    rmSync(folder, { recursive: true })
  }
})
