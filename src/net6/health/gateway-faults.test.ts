import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { pollUntil } from '#base'
import { writeKnownGateways } from '../gateway/known-gateways.ts'
import { PeerGateway } from '../gateway/peer-gateway.ts'
import { person } from '../gateway/person.fixture.ts'
import { type JoinedHost, joinedHosts } from '../mesh/joined-hosts.fixture.ts'
import { peerAddress } from '../six-pn-address.ts'
import { type DeviceStatus, deviceOf } from './device-status.ts'
import { findNetworkFaults } from './find-faults.ts'
import { gatewayFaultsIn } from './gateway-faults.ts'
import { networkStatus } from './network-status.ts'

const DEADLINE = { deadlineMs: 60_000 }
const PORT = 51_830

/** The second host is a gateway, which the first one knows of. */
async function gatewayOfTwo(t: TestContext) {
  const [a, b] = (await joinedHosts(t, 2)) as [JoinedHost, JoinedHost]
  const { system, programs, folder, host } = b.options
  const gateway = await PeerGateway.open({ system, programs, folder, host, port: PORT })
  const hostKeys = [a, b].map(({ mesh }) => mesh.ownColumns.mesh_public_key)
  const known = {
    ...{ hostId: 'host-2', publicKey: gateway.publicKey },
    endpoint: `${b.meshOptions.publicAddress}:${PORT}`,
  }
  for (const { folder: at } of [a, b]) await writeKnownGateways(at, [known])
  const options = { system: a.system, folder: a.folder }
  const faults = async () =>
    (await findNetworkFaults(options)).map(({ kind, subject }) => [kind, subject])
  return { a, b, gateway, hostKeys, faults }
}

test("a gateway whose port for people's devices is blocked is found from another host, and named", async (t) => {
  const { a, b, gateway, hostKeys, faults } = await gatewayOfTwo(t)
  await gateway.setPeers([], hostKeys)
  const hasNone = async () => (await faults()).length === 0
  await pollUntil('a network without fault', hasNone, DEADLINE)
  assert.deepEqual(
    (await networkStatus({ ...b.options })).gateway?.devices,
    [],
    'hosts are no devices',
  )
  await b.shell(`nft add table inet trial
    nft 'add chain inet trial in { type filter hook input priority -10; }'
    nft add rule inet trial in udp dport ${PORT} drop`)
  assert.deepEqual(await faults(), [['port_blocked', 'gateway host-2']])
  await b.shell('nft delete table inet trial')
  await pollUntil('the end of the fault', hasNone, DEADLINE)
  assert.match(await a.shell('ip -o link'), /gwmesh0/)
  assert.doesNotMatch(await a.shell('ip -o link'), /gwtrial0/)
  await b.shell('ip link set cable2 down')
  assert.deepEqual(
    (await faults()).map(([kind]) => kind),
    ['link_broken'],
    'it is told of once',
  )
})

test("people's devices are shown with their transport and last handshake", async (t) => {
  const [a] = (await joinedHosts(t, 1)) as [JoinedHost]
  const { system, programs, folder, host } = a.options
  const gateway = await PeerGateway.open({ system, programs, folder, host, port: PORT })
  const [one, other] = [await person(t, a, 1), await person(t, a, 2)]
  const ips = [peerAddress(7, host, 0), peerAddress(8, host, 1)] as const
  const row = { public_key: one.key.publicKey, network_id: 7, peer_ip: ips[0], created_at: 1 }
  const silent = { ...row, public_key: other.key.publicKey, network_id: 8, peer_ip: ips[1] }
  await gateway.setPeers([row, silent], [a.mesh.ownColumns.mesh_public_key])
  await one.joins(ips[0], gateway.publicKey, `192.0.2.1:${PORT}`)
  const devices = async () => (await networkStatus({ system, folder })).gateway?.devices ?? []
  const heard = async () => (await devices()).find(({ handshakeMs }) => handshakeMs !== undefined)
  const device = await pollUntil('its handshake', heard, DEADLINE)
  const { peerIp, networkId, transport, endpoint = '' } = device
  assert.deepEqual([peerIp, networkId, transport], [ips[0], 7, 'udp'])
  assert.match(endpoint, /^192\.0\.2\.21:\d+$/)
  const never = (await devices()).find(({ handshakeMs }) => handshakeMs === undefined)
  assert.deepEqual([never?.peerIp, never?.transport, never?.receivedBytes], [ips[1], undefined, 0])
  await a.shell('tc qdisc del dev gwpeer0 clsact')
  const kinds = (await findNetworkFaults({ system, folder })).map(({ kind, subject }) => [
    kind,
    subject,
  ])
  assert.deepEqual(kinds, [['program_missing', 'gwpeer0']])
})

const device: DeviceStatus & { handshakeMs: number } = {
  ...{ peerIp: 'fdaa:0:7:a7b:1:0:a:2', networkId: 7, publicKey: 'key', transport: 'udp' as const },
  ...{ endpoint: '192.0.2.9:40000', handshakeMs: 1_000_000, receivedBytes: 1, sentBytes: 1 },
}
const gateway = { hostId: 'ams-1', publicKey: 'key', endpoint: '192.0.2.1:51820' }

test('a device that was heard long ago, and whose address answers, is a notice; one that is away is nothing', () => {
  const find = (agoMs: number, answersOutside: boolean) =>
    gatewayFaultsIn({
      ...{ hasDevice: true, gateways: [], devices: [{ device, answersOutside }] },
      nowMs: device.handshakeMs + agoMs,
    })
  const [stale, ...more] = find(600_000, true)
  assert.deepEqual(
    [stale?.kind, stale?.severity, stale?.subject],
    ['peer_stale', 'notice', device.peerIp],
  )
  assert.match(stale?.what ?? '', /192\.0\.2\.9:40000.* 600 s ago/)
  assert.deepEqual([more, find(600_000, false), find(100_000, true)], [[], [], []])
})

test('a gateway of this host whose device is gone is told as that, and nothing else', () => {
  const own = { gateway, isOwn: true, answersHandshake: false, answersOutside: true }
  const seen = { gateways: [own], devices: [], nowMs: 0 }
  const kinds = (hasDevice: boolean) =>
    gatewayFaultsIn({ ...seen, hasDevice }).map(({ kind }) => kind)
  assert.deepEqual(kinds(false), ['gateway_missing'])
  assert.deepEqual(kinds(true), ['port_blocked'])
  const elsewhere = { gateways: [{ ...own, isOwn: false, answersHandshake: true }], devices: [] }
  assert.deepEqual(gatewayFaultsIn({ ...elsewhere, hasDevice: false, nowMs: 0 }), [])
})

test('a device that comes through a WebSocket is told from one that comes by UDP', () => {
  const peer = {
    ...{ publicKey: 'key', allowedIps: ['fdaa:0:7:a7b:1:0:a:100/120'], handshakeMs: 5_000 },
    ...{ receivedBytes: 1, sentBytes: 2, keepaliveS: 0 },
  }
  const seen = deviceOf({ ...peer, endpoint: '127.0.0.1:40000' })
  assert.deepEqual(
    [seen?.transport, seen?.endpoint, seen?.peerIp],
    ['web_socket', undefined, 'fdaa:0:7:a7b:1:0:a:102'],
  )
  assert.equal(deviceOf({ ...peer, endpoint: '192.0.2.9:1' })?.transport, 'udp')
  assert.equal(deviceOf(peer)?.transport, undefined)
  assert.equal(deviceOf({ ...peer, allowedIps: [] }), undefined)
})
