import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { createLog, firstOf, pollUntil } from '#base'
import { ApiClient } from '#corrosion'
import { readKnownGateways } from '../gateway/known-gateways.ts'
import { PEER_DEVICE, PEER_PORT } from '../gateway/peer-gateway.ts'
import { readMeshDevice } from '../mesh/mesh-device.ts'
import { generateMeshKey } from '../mesh/mesh-keys.ts'
import {
  backhaulAddress,
  hostField,
  meshPrefix,
  parseMeshPrefix,
  peerAddress,
} from '../six-pn-address.ts'
import { openSystem } from '../system.ts'
import { enterOwnHost } from '../trial/own-host.ts'
import { readWireGuardDevice } from '../wireguard/wireguard-device.ts'
import { hostRows, rowsOf, startAgent } from './agent.fixture.ts'
import { commandNet } from './net-servers.ts'
import { openNet } from './open-net.ts'

const DEADLINE = { deadlineMs: 60_000 }
const PORT = 8080
const URL = `http://127.0.0.1:${PORT}`
const log = createLog({ part: 'net6', level: 'fatal' })

enterOwnHost()

test('a host says what it is, joins whoever rows tell of, with or without corrosion, and gives way to who was first', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gn-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const config = {
    ...{ host_id: 'm1', public_address: '127.0.0.1', port: 51_821, mtu_bytes: 1_420 },
    ...{ folder: join(folder, 'net6'), observe: '127.0.0.1:0', socket: join(folder, 'net.sock') },
    corrosion: { url: URL },
    gateway: { region: 'ams', port: PEER_PORT },
  }
  const start = () => openNet(config, { log })
  const own = async () => (await hostRows(URL)).get('m1')
  const peers = async () =>
    (await readMeshDevice(openSystem(), 0))?.peers.map((one) => one.publicKey)
  const other = { key: generateMeshKey().publicKey, prefix: meshPrefix(hostField(7), 0) }
  const client = new ApiClient({ url: URL })
  const insert = (id: string, prefix: string, key: string) =>
    client.execute(
      'INSERT INTO hosts (id, six_pn_prefix, mesh_public_key, mesh_endpoint) VALUES (?, ?, ?, ?)',
      [id, prefix, key, '127.0.0.2:51821'],
    )

  let agent = await startAgent(folder, PORT)
  let net = await start()
  const row = await pollUntil('its own row', own, DEADLINE)
  const { host } = parseMeshPrefix(row.six_pn_prefix)
  assert.equal(row.backhaul_ip, backhaulAddress(host))
  assert.equal(row.mesh_endpoint, '127.0.0.1:51821')
  await insert('z9', other.prefix, other.key)
  await pollUntil('the peer', async () => (await peers())?.includes(other.key), DEADLINE)

  const gateways = async () => rowsOf(URL, 'SELECT * FROM wireguard_gateways')
  const [gateway] = await pollUntil(
    'its gateway',
    async () => {
      const rows = await gateways()
      return rows.length === 1 && rows
    },
    DEADLINE,
  )
  assert.deepEqual([gateway?.['endpoint'], gateway?.['region']], ['127.0.0.1:51820', 'ams'])
  const guest = generateMeshKey().publicKey
  const guests = async () =>
    (await readWireGuardDevice(openSystem(), PEER_DEVICE))?.peers
      .filter(({ allowedIps }) => allowedIps.length > 0) // hosts may try it, too
      .map((one) => one.publicKey)
  await client.execute(
    "INSERT INTO wireguard_peers (public_key, gateway, network_id, peer_ip) VALUES (?, 'm1', 7, ?)",
    [guest, peerAddress(7, host, 0)],
  )
  await pollUntil('the guest', async () => (await guests())?.includes(guest), DEADLINE)

  const isTold = async () => (await readKnownGateways(config.folder))[0]?.hostId === 'm1'
  await pollUntil('its gateway in its file', isTold, DEADLINE)
  const tried = async () =>
    (await readWireGuardDevice(openSystem(), PEER_DEVICE))?.peers.some(
      ({ publicKey, allowedIps }) => publicKey === other.key && allowedIps.length === 0,
    )
  await pollUntil('the other host among those that may try', tried, DEADLINE)

  await commandNet(config.socket, 'rotate-key')
  const isNew = async () => (await own())?.mesh_public_key !== row.mesh_public_key
  await pollUntil('the new key in its row', isNew, DEADLINE)
  await assert.rejects(commandNet(config.socket, 'rotate-key'), { code: 'net6.host_unable' })

  await net[Symbol.asyncDispose]()
  await agent.stop()
  assert.deepEqual(await peers(), [other.key], 'what stands stays')
  assert.deepEqual(await guests(), [guest], 'peers, too')
  await openSystem().run('ip', ['link', 'delete', 'gwmesh0'], {}) // as a reboot does
  await openSystem().run('ip', ['link', 'delete', PEER_DEVICE], {})
  net = await start()
  await pollUntil(
    'the peer, from memory',
    async () => (await peers())?.includes(other.key),
    DEADLINE,
  )
  const health = await fetch(`http://127.0.0.1:${net.observePort}/healthz`)
  assert.equal(health.status, 200)

  agent = await startAgent(folder, PORT)
  await pollUntil('the guest again', async () => (await guests())?.includes(guest), DEADLINE)
  await client.execute('DELETE FROM wireguard_peers', [])
  await pollUntil('its end', async () => (await guests())?.length === 0, DEADLINE)
  await insert('a1', meshPrefix(host, 0), generateMeshKey().publicKey)
  const late = new AbortController()
  t.after(() => late.abort())
  await firstOf<unknown>(
    net.moved,
    pollUntil('it to give way', () => false, { ...DEADLINE, signal: late.signal }),
  )
  late.abort()
  await net[Symbol.asyncDispose]()
  net = await start()
  const hasMoved = async () => {
    const prefix = (await own())?.six_pn_prefix ?? ''
    return prefix !== '' && parseMeshPrefix(prefix).host !== host
  }
  await pollUntil('another number in its row', hasMoved, DEADLINE)
  const { stdout } = await openSystem().run('ip', ['-6', '-o', 'address', 'show', 'dev', 'lo'])
  assert.ok(!stdout.includes(`${backhaulAddress(host)}/`), 'the address of the old number is gone')
  await net[Symbol.asyncDispose]()
  await agent.stop()
})
