import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { loadNetConfig } from '#net6'
import { foundCluster, type PlannedHost } from '../found-cluster.ts'
import { loadHostConfig } from '../host-config.ts'
import { inStartOrder } from '../part-order.ts'
import { partsOf } from './all-parts.ts'

const planned = (host: string, roles: PlannedHost['roles'], index: number): PlannedHost => ({
  host,
  roles,
  region: { code: 'ams', name: 'Amsterdam', latitude: 52.3, longitude: 4.9 },
  address: `10.0.0.${index + 1}`,
})

async function cluster(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-found-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const hosts = [
    planned('ams-1', ['worker', 'gateway', 'nats'], 0),
    planned('ams-2', ['worker'], 1),
    planned('ams-3', ['gateway'], 2),
  ]
  const founded = (await foundCluster({ hosts })).hosts
  const load = (host: string, change = (text: string) => text) => {
    const file = join(folder, `${host}.toml`)
    writeFileSync(file, change(founded.find((one) => one.host === host)?.config ?? ''))
    return loadHostConfig(file)
  }
  return { founded, load }
}

test("a host's daemons follow from its roles, in an order that can be started", async (t) => {
  const { load } = await cluster(t)
  const names = (host: string) => inStartOrder(partsOf(load(host))).map(({ name }) => name)
  assert.deepEqual(names('ams-1'), ['corrosion', 'net', 'nats', 'flyd', 'flaps', 'proxy', 'dns'])
  assert.deepEqual(names('ams-2'), ['corrosion', 'net', 'flyd', 'proxy', 'dns'])
  assert.deepEqual(names('ams-3'), ['corrosion', 'net', 'flyd', 'flaps', 'proxy', 'dns'])
})

test('no two hosts of a new cluster share a key but the one of the cluster', async (t) => {
  const { founded } = await cluster(t)
  for (const name of ['server.key', 'client.key', 'nats.seed']) {
    assert.equal(new Set(founded.map(({ secrets }) => secrets[name])).size, founded.length, name)
  }
  assert.equal(new Set(founded.map(({ secrets }) => secrets['cluster.key'])).size, 1)
  assert.equal(founded[1]?.secrets['gateway.seed'], undefined)
  for (const { config, secrets } of founded) {
    for (const name of ['server.key', 'cluster.key', 'nats.seed']) {
      assert.ok(!config.includes(secrets[name]?.trim() ?? ''), `${name} stands in the host's file`)
    }
  }
})

test('a host that is no worker takes no machines', async (t) => {
  const { load } = await cluster(t)
  const flyd = partsOf(load('ams-3')).find(({ name }) => name === 'flyd')
  assert.match(flyd?.files[0]?.text ?? '', /machines_max = 0/)
})

test('an edge announces and orders certificates as its file says, any other host does neither', async (t) => {
  const { load } = await cluster(t)
  const edge = `[edge]
anycast = { prefixes = ["203.0.113.0/24"] }
acme = { directory_url = "https://acme.test/directory" }
`
  const told = (host: string, change: (text: string) => string, part: string) =>
    partsOf(load(host, change)).find(({ name }) => name === part)?.files[0]?.text ?? ''
  const asWorker = (text: string) => text.replace('[region]', `${edge}[region]`)
  const asEdge = (text: string) => asWorker(text).replaceAll('"worker"', '"worker", "edge"')
  assert.match(told('ams-2', asEdge, 'net'), /203\.0\.113\.0\/24/)
  assert.match(told('ams-2', asEdge, 'net'), /proxy_socket = "\/run\/godwit\/proxy\.sock"/)
  assert.doesNotMatch(told('ams-2', asWorker, 'net'), /anycast/)
  assert.match(told('ams-2', asEdge, 'proxy'), /acme\.test/)
  assert.doesNotMatch(told('ams-2', asWorker, 'proxy'), /acme\.test/)
})

test('where an edge serves at its own address, port 443 is left to the proxy', async (t) => {
  const { load } = await cluster(t)
  const told = (edge: string, part: string) =>
    partsOf(load('ams-2', (text) => text.replace('[region]', `${edge}[region]`))).find(
      ({ name }) => name === part,
    )?.files[0]?.text ?? ''
  const own = '[edge]\naddresses = ["10.0.0.2"]\n'
  assert.match(told('', 'net'), /web_socket/)
  assert.doesNotMatch(told('', 'proxy'), /addresses/)
  assert.doesNotMatch(told(own, 'net'), /web_socket/)
  assert.match(told(own, 'proxy'), /addresses = \[ "10\.0\.0\.2" \]/)
})

test("an edge's BGP sessions come to the network's daemon as it reads them, with the defaults filled in", async (t) => {
  const { load } = await cluster(t)
  const edge = `[edge.anycast]
prefixes = ["203.0.113.0/24"]
[edge.anycast.bgp]
router_id = "192.0.2.10"
asn = 64500
[[edge.anycast.bgp.neighbours]]
address = "192.0.2.1"
local = "192.0.2.10"
asn = 64501
bfd = { min_tx_ms = 50 }
`
  const asEdge = (text: string) =>
    text.replace('[region]', `${edge}[region]`).replaceAll('"worker"', '"worker", "edge"')
  const [file] = partsOf(load('ams-2', asEdge)).find(({ name }) => name === 'net')?.files ?? []
  const folder = mkdtempSync(join(tmpdir(), 'godwit-parts-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'net.toml')
  writeFileSync(path, file?.text ?? '')
  assert.deepEqual(loadNetConfig(path).anycast?.bgp, {
    ...{ config: '/etc/bird/bird.conf', router_id: '192.0.2.10', asn: 64500, hold_s: 90 },
    neighbours: [
      {
        ...{ address: '192.0.2.1', local: '192.0.2.10', asn: 64501 },
        bfd: { min_rx_ms: 300, min_tx_ms: 50, multiplier: 3 },
      },
    ],
  })
})

test('a file whose members cannot be is refused, and says why', async (t) => {
  const { load } = await cluster(t)
  const stranger = (text: string) => text.replace('host = "ams-2"', 'host = "nrt-1"')
  assert.throws(() => load('ams-2', stranger), { code: 'host.config_bad', message: /ams-1 ams-2/ })
  const headless = (text: string) => text.replace(', "nats"', '')
  assert.throws(() => load('ams-2', headless), { code: 'host.config_bad', message: /role nats/ })
  const typo = (text: string) => text.replace('[region]', '[regoin]')
  assert.throws(() => load('ams-2', typo), { code: 'base.config_bad' })
})
