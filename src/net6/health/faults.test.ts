import assert from 'node:assert/strict'
import test from 'node:test'
import { pollUntil } from '#base'
import { joinedPair } from '../mesh/joined-hosts.fixture.ts'
import { networkedHost } from '../trial-host.fixture.ts'
import { faultsIn } from './faults.ts'
import { findNetworkFaults } from './find-faults.ts'
import { networkStatus } from './network-status.ts'

const DEADLINE = { deadlineMs: 40_000 }

test('a broken link, a blocked port and an MTU hole are found and named', async (t) => {
  const [a, b] = await joinedPair(t)
  const options = { system: a.system, folder: a.folder }
  const kinds = async () => (await findNetworkFaults(options)).map(({ kind }) => kind)
  await pollUntil('a network without fault', async () => (await kinds()).length === 0, DEADLINE)
  const status = await networkStatus(options)
  assert.deepEqual(
    status.machines.map(({ id, isUp, isGuarded }) => [id, isUp, isGuarded]),
    [[a.machine.id, true, true]],
  )
  assert.equal(status.peers[0]?.backhaulIp, b.mesh.ownColumns.backhaul_ip)
  assert((status.peers[0]?.handshakeMs ?? 0) > 0)
  const filter = (rule: string) =>
    b.shell(`nft add table inet trial; nft flush table inet trial
      nft 'add chain inet trial in { type filter hook input priority -10; }'
      nft add rule inet trial in ${rule}`)
  await filter('udp dport 51820 udp length \\> 1400 drop')
  const [hole] = await findNetworkFaults(options)
  assert.equal(hole?.kind, 'mtu_hole')
  assert.match(hole.what, /above 13\d\d bytes/)
  await filter('udp dport 51820 drop')
  assert.deepEqual(await kinds(), ['port_blocked'])
  await b.shell('nft delete table inet trial; ip link set cable2 down')
  assert.deepEqual(await kinds(), ['link_broken'])
})

test('what somebody took away on the host itself is found', async (t) => {
  const host = await networkedHost(t)
  const options = { system: host.system, folder: host.folder }
  const id = '148ed599c14189' as Parameters<typeof host.networks.remove>[0]
  const { hostDevice } = await host.networks.make({ id, networkId: 7, kind: 'container' })
  await host.shell(`ip netns exec godwit-machine-${id} ip link set eth0 down`)
  assert.deepEqual(
    (await findNetworkFaults(options)).map(({ kind }) => kind),
    ['machine_link_down'],
  )
  await host.shell(`ip netns exec godwit-machine-${id} ip link set eth0 up`)
  assert.deepEqual(await findNetworkFaults(options), [])
  await host.shell(`tc qdisc del dev ${hostDevice} clsact; nft delete table inet godwit_net6`)
  const kinds = (await findNetworkFaults(options)).map(({ kind }) => kind)
  assert.deepEqual(kinds, ['firewall_missing', 'program_missing'])
  await host.networks.make({ id, networkId: 7, kind: 'container' })
  assert.deepEqual(
    (await findNetworkFaults(options)).map(({ kind }) => kind),
    ['firewall_missing'],
  )
})

test('a host without programs is told from one without machines', async () => {
  const status = { isSetUp: false, hasFirewall: false, machines: [], mesh: [], peers: [] }
  const seen = { status, trials: [], gateways: [], devices: [], mtuBytes: 1420, nowMs: 0 }
  assert.deepEqual(
    faultsIn(seen).map(({ kind }) => kind),
    ['not_set_up'],
  )
  assert.deepEqual(
    faultsIn({ ...seen, status: { ...status, isSetUp: true, hasFirewall: true } }),
    [],
  )
})

test('a peer that was heard long ago is stale, not blocked', () => {
  const peer = {
    device: 'gwmesh0',
    publicKey: 'key',
    backhaulIp: 'fdaa:a7b:2::1',
    generation: 0,
    endpoint: '192.0.2.1:51820',
    handshakeMs: 1_000_000,
    receivedBytes: 1,
    sentBytes: 1,
  }
  const status = { isSetUp: true, hasFirewall: true, machines: [], mesh: [], peers: [peer] }
  const trial = { peer, answersInside: false, answersOutside: true }
  const [fault] = faultsIn({
    status,
    trials: [trial],
    gateways: [],
    devices: [],
    mtuBytes: 1420,
    nowMs: 1_500_000,
  })
  assert.equal(fault?.kind, 'peer_stale')
  assert.match(fault.what, /500 s ago/)
})
