/** Each packet through the program itself, by BPF_PROG_TEST_RUN: what becomes of it, and for which reason. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { GATEWAY_MAC } from '../machine/link-names.ts'
import { formatSixPn, ipv6Bytes, parseSixPn, swapSixPn } from '../six-pn-address.ts'
import {
  arp,
  ETHERNET,
  ethernet,
  extension,
  fragment,
  icmp4,
  icmp6,
  ipv4,
  ipv6,
  isIntact,
  NEXT,
  neighbour,
  type Part,
  TCP_ACK,
  tcp,
  udp,
} from '../trial/packets.ts'
import { TRIAL_HOST } from '../trial-host.fixture.ts'
import { machineEntries } from './map-layout.ts'
import {
  ACTIONS,
  bench,
  type Expected,
  FAR,
  FLYCAST,
  four,
  GATEWAY,
  HOST4,
  HOST6,
  IFINDEX,
  link,
  MACHINE,
  NEAR,
  newDrops,
  OWN,
  OWN_LINK_LOCAL,
  OWN_MAC,
  PUBLIC4,
  PUBLIC6,
  six,
  V4,
} from './packet-bench.fixture.ts'

const nd = (part: Part, from: string, to: string, hopLimit = 255) =>
  ethernet(link, ETHERNET.ipv6, ipv6({ from, to }, part, { hopLimit }))
const SOLICITED = 'ff02::1:ff22:1'
const arpFrame = (changes: Partial<Parameters<typeof arp>[0]>) =>
  ethernet(
    { from: OWN_MAC, to: 'ff:ff:ff:ff:ff:ff' },
    ETHERNET.arp,
    arp({ senderMac: OWN_MAC, senderIp: V4.own, targetIp: V4.gateway, ...changes }),
  )

// biome-ignore format: a table
const SENT: readonly (readonly [what: string, frame: Buffer, expected: Expected])[] = [
  // The private network.
  ['TCP to a machine of the same network, here', six(NEAR, tcp(80)), 'redirect'],
  ['UDP to a machine of the same network at another host', six(FAR, udp(53)), 'redirect'],
  ['a ping from another of its own 65,536 addresses', six(NEAR, icmp6(128), 'fdaa:0:7:a7b:1:1111:2222:abcd'), 'redirect'],
  ['a first fragment to the same network', six(NEAR, fragment(0, false, udp(9))), 'redirect'],
  ['a later fragment to the same network', six(FAR, fragment(1232, true, udp(9))), 'redirect'],
  ['destination options to the same network', six(NEAR, extension(NEXT.destinationOptions, tcp(80))), 'redirect'],
  ['ESP to the same network', six(NEAR, { next: NEXT.esp, bytes: Buffer.alloc(16) }), 'redirect'],
  ['a machine that is not there', six('fdaa:0:7:a7b:1:9999:1:2', tcp(80)), 'machine_unknown'],
  ['a host that is not there', six('fdaa:0:7:a7b:3:9999:1:2', tcp(80)), 'host_unknown'],
  ['a hop limit of one', ethernet(link, ETHERNET.ipv6, ipv6({ from: OWN, to: NEAR }, tcp(80), { hopLimit: 1 })), 'hop_limit'],
  // Sources.
  ['the source of a neighbour of the same network', six(NEAR, tcp(80), NEAR), 'source_spoofed'],
  ['the source of another network', six(NEAR, tcp(80), 'fdaa:0:8:a7b:1:3333:4444:2'), 'source_spoofed'],
  ['a public source', six(NEAR, tcp(80), PUBLIC6), 'source_spoofed'],
  ['the platform as source', six(NEAR, udp(53), 'fdaa::3'), 'source_spoofed'],
  ['no source, off the link', six(NEAR, tcp(80), '::'), 'source_spoofed'],
  ['a link-local source, off the link', six(NEAR, tcp(80), OWN_LINK_LOCAL), 'source_spoofed'],
  ["another's link-local source", six('ff02::1', icmp6(135), 'fe80::1'), 'source_spoofed'],
  ['an IPv4 source of another machine', four(PUBLIC4, udp(53), '172.19.0.10'), 'source_spoofed'],
  ["the gateway's IPv4 as source", four(PUBLIC4, udp(53), V4.gateway), 'source_spoofed'],
  ["another's MAC", ethernet({ from: '02:6e:33:33:44:44', to: GATEWAY_MAC }, ETHERNET.ipv6, ipv6({ from: OWN, to: NEAR }, tcp(80))), 'mac_spoofed'],
  ['a frame to another MAC', ethernet({ from: OWN_MAC, to: '02:6e:33:33:44:44' }, ETHERNET.ipv6, ipv6({ from: OWN, to: NEAR }, tcp(80))), 'mac_spoofed'],
  // Isolation.
  ['another network', six('fdaa:0:8:a7b:1:3333:4444:2', tcp(80)), 'other_network'],
  ['another network that shares the low half', six('fdaa:1:7:a7b:1:3333:4444:2', tcp(80)), 'other_network'],
  ['the form that addresses have on the mesh', six('fdaa:a7b:2:0:7:5555:6666:2', tcp(80)), 'other_network'],
  ['another host itself', six('fdaa:a7b:2::1', tcp(22)), 'other_network'],
  ["another network's resolver", six('fdaa:0:8::3', udp(53)), 'other_network'],
  ["another network's flycast", six('fdaa:0:8:0:1::5', tcp(80)), 'other_network'],
  ['flycast', six(FLYCAST, tcp(80)), 'pass'],
  ['flycast, pinged', six(FLYCAST, icmp6(128)), 'pass'],
  ['flycast, by UDP', six(FLYCAST, udp(80)), 'host_service'],
  ['flycast, in fragments', six(FLYCAST, fragment(0, false, tcp(80))), 'fragment'],
  ['flycast that nobody has', six('fdaa:0:7:0:1::6', tcp(80)), 'flycast_unknown'],
  ["a private IPv4 of another machine", four('172.19.0.10', tcp(80)), 'denied_destination'],
  // Services of the host.
  ['a question to the resolver', six('fdaa::3', udp(53)), 'pass'],
  ['a question to the resolver by TCP', six('fdaa::3', tcp(53)), 'pass'],
  ['the API', six('fdaa::3', tcp(4280)), 'pass'],
  ['the log stream', six('fdaa::3', tcp(4223)), 'pass'],
  ['a ping of the platform', six('fdaa::3', icmp6(128)), 'pass'],
  ['SSH of the host at the platform address', six('fdaa::3', tcp(22)), 'host_service'],
  ['the resolver by SCTP', six('fdaa::3', { next: 132, bytes: udp(53).bytes }), 'host_service'],
  ['a fragment to the resolver', six('fdaa::3', fragment(0, false, udp(53))), 'fragment'],
  ['a later fragment to the resolver', six('fdaa::3', fragment(8, true, udp(53))), 'fragment'],
  ['hop-by-hop options to the resolver', six('fdaa::3', extension(NEXT.hopByHop, udp(53))), 'extension_header'],
  ['destination options to the resolver', six('fdaa::3', extension(NEXT.destinationOptions, udp(53))), 'extension_header'],
  ['another address of the platform', six('fdaa::4', udp(53)), 'host_service'],
  ['a ping of the gateway', six(GATEWAY, icmp6(128)), 'pass'],
  ['SSH at the gateway', six(GATEWAY, tcp(22)), 'host_service'],
  ['an ACK to a listener at the gateway', six(GATEWAY, tcp(22, TCP_ACK)), 'host_service'],
  ['a fragment to the gateway', six(GATEWAY, fragment(0, false, tcp(22))), 'fragment'],
  ['its own prefix, but for the gateway', six('fdaa:0:7:a7b:1:1111:2222:9', icmp6(128)), 'host_service'],
  ['a ping of the IPv4 gateway', four(V4.gateway, icmp4(8)), 'pass'],
  ['SSH at the IPv4 gateway', four(V4.gateway, tcp(22)), 'host_service'],
  ['an ACK to a listener at the IPv4 gateway', four(V4.gateway, tcp(22, TCP_ACK)), 'host_service'],
  ['DNS at the IPv4 gateway', four(V4.gateway, udp(53)), 'host_service'],
  ['a fragment to the IPv4 gateway', ethernet(link, ETHERNET.ipv4, ipv4({ from: V4.own, to: V4.gateway }, udp(53), { fragment: 0x2000 })), 'fragment'],
  ["the host's public IPv4", four(HOST4, tcp(22)), 'host_service'],
  ["the host's public IPv6", six(HOST6, tcp(22)), 'host_service'],
  // The internet.
  ['the internet by IPv4', four(PUBLIC4, tcp(443)), 'pass'],
  ['from the address of public UDP', four(PUBLIC4, udp(5000), V4.second), 'pass'],
  ['the internet by IPv6', six(PUBLIC6, tcp(443)), 'pass'],
  ['a fragment to the internet', ethernet(link, ETHERNET.ipv4, ipv4({ from: V4.own, to: PUBLIC4 }, udp(53), { fragment: 0x2000 })), 'pass'],
  ["the platform's own anycast", four('203.0.113.1', tcp(443)), 'pass'],
  ['a fragment to the anycast', ethernet(link, ETHERNET.ipv4, ipv4({ from: V4.own, to: '203.0.113.1' }, tcp(443), { fragment: 0x2000 })), 'fragment'],
  ['GRE to the anycast', four('203.0.113.1', { next: 47, bytes: Buffer.alloc(8) }), 'host_service'],
  ["the operator's own servers", four('10.1.2.3', tcp(22)), 'denied_destination'],
  ['the metadata address of clouds', four('169.254.169.254', tcp(80)), 'denied_destination'],
  ['loopback', four('127.0.0.1', tcp(80)), 'denied_destination'],
  ['IPv6 loopback', six('::1', tcp(80)), 'denied_destination'],
  ['another ULA', six('fd00:1::1', tcp(80)), 'denied_destination'],
  ['IPv4-mapped', six('::ffff:10.0.0.1', tcp(80)), 'denied_destination'],
  ['a denied public prefix', six('2001:db8:dead::1', tcp(80)), 'denied_destination'],
  ['multicast IPv4', four('224.0.0.251', udp(5353)), 'multicast'],
  ['broadcast IPv4', four('255.255.255.255', udp(67)), 'multicast'],
  ['IPv4 options', ethernet(link, ETHERNET.ipv4, ipv4({ from: V4.own, to: PUBLIC4 }, tcp(80), { headerWords: 6 })), 'ip_options'],
  // Extension headers.
  ['a routing header', six(NEAR, extension(NEXT.routing, tcp(80))), 'extension_header'],
  ['a routing header behind options', six(NEAR, extension(NEXT.destinationOptions, extension(NEXT.routing, tcp(80)))), 'extension_header'],
  ['a routing header in the first fragment', six(FAR, fragment(0, false, extension(NEXT.routing, tcp(80)))), 'extension_header'],
  ['hop-by-hop options', six(NEAR, extension(NEXT.hopByHop, tcp(80))), 'extension_header'],
  ['mobility', six(NEAR, extension(NEXT.mobility, tcp(80))), 'extension_header'],
  ['a chain without end', six(NEAR, Array.from({ length: 8 }).reduce<Part>((part) => extension(NEXT.destinationOptions, part), tcp(80))), 'extension_header'],
  ['a routing header to the internet', six(PUBLIC6, extension(NEXT.routing, tcp(80))), 'extension_header'],
  ['options that say to be longer than the packet', six(NEAR, { next: NEXT.destinationOptions, bytes: Buffer.from([6, 255, 0, 0, 0, 0, 0, 0]) }), 'malformed'],
  ['a first fragment without its upper header', six(NEAR, fragment(0, false, { next: NEXT.tcp, bytes: Buffer.alloc(4) })), 'malformed'],
  // Neighbours and routers.
  ['a solicitation of the gateway', nd(neighbour(135, GATEWAY, OWN_MAC), OWN, SOLICITED), 'pass'],
  ['a solicitation from its link-local address', nd(neighbour(135, GATEWAY, OWN_MAC), OWN_LINK_LOCAL, SOLICITED), 'pass'],
  ['duplicate address detection', nd(neighbour(135, OWN), '::', 'ff02::1:ff22:2'), 'pass'],
  ['an advertisement of its own', nd(neighbour(136, OWN, OWN_MAC), OWN, GATEWAY), 'pass'],
  ['an advertisement of the gateway', nd(neighbour(136, GATEWAY, OWN_MAC), OWN, 'ff02::1'), 'neighbour_spoofed'],
  ["an advertisement of another's address", nd(neighbour(136, NEAR, OWN_MAC), OWN, 'ff02::1'), 'neighbour_spoofed'],
  ["an advertisement with another's MAC", nd(neighbour(136, OWN, '02:6e:33:33:44:44'), OWN, 'ff02::1'), 'neighbour_spoofed'],
  ['a solicitation of another machine', nd(neighbour(135, NEAR, OWN_MAC), OWN, 'ff02::1:ff44:2'), 'neighbour_spoofed'],
  ['a solicitation that came over a router', nd(neighbour(135, GATEWAY, OWN_MAC), OWN, SOLICITED, 254), 'neighbour_spoofed'],
  ['an advertisement sent to another machine', nd(neighbour(136, GATEWAY, OWN_MAC), OWN, NEAR), 'neighbour_spoofed'],
  ['the same behind destination options', nd(extension(NEXT.destinationOptions, neighbour(136, GATEWAY, OWN_MAC)), OWN, NEAR), 'neighbour_spoofed'],
  ['a solicitation in fragments', nd(fragment(0, false, neighbour(135, GATEWAY, OWN_MAC)), OWN_LINK_LOCAL, SOLICITED), 'fragment'],
  ['a router advertisement', nd(icmp6(134, Buffer.alloc(12)), OWN_LINK_LOCAL, 'ff02::1'), 'router_advertisement'],
  ['a router advertisement to the gateway', nd(icmp6(134, Buffer.alloc(12)), OWN, GATEWAY), 'router_advertisement'],
  ['a router advertisement to another machine', nd(icmp6(134, Buffer.alloc(12)), OWN, NEAR), 'router_advertisement'],
  ['a router advertisement behind options', nd(extension(NEXT.destinationOptions, icmp6(134, Buffer.alloc(12))), OWN, NEAR), 'router_advertisement'],
  ['a router advertisement in fragments', nd(fragment(0, false, icmp6(134, Buffer.alloc(12))), OWN_LINK_LOCAL, 'ff02::1'), 'fragment'],
  ['a router solicitation', nd(icmp6(133), OWN_LINK_LOCAL, 'ff02::2'), 'router_advertisement'],
  ['a redirect', nd(icmp6(137, Buffer.alloc(36)), OWN, NEAR), 'router_advertisement'],
  ['a multicast report', nd(extension(NEXT.hopByHop, icmp6(143)), OWN_LINK_LOCAL, 'ff02::16', 1), 'multicast'],
  ['multicast DNS', six('ff02::fb', udp(5353)), 'multicast'],
  ['a link-local address of the host', six('fe80::1', tcp(22)), 'link_local'],
  ['ARP for the gateway', arpFrame({}), 'pass'],
  ['an ARP probe', arpFrame({ senderIp: '0.0.0.0', targetIp: V4.own }), 'pass'],
  ["ARP with another's IP", arpFrame({ senderIp: '172.19.0.10' }), 'arp_spoofed'],
  ["ARP with the gateway's IP", arpFrame({ operation: 2, senderIp: V4.gateway }), 'arp_spoofed'],
  ["ARP with another's MAC", arpFrame({ senderMac: '02:6e:33:33:44:44' }), 'arp_spoofed'],
  ['ARP for another machine', arpFrame({ targetIp: '172.19.0.10' }), 'arp_spoofed'],
  // Neither.
  ['an unknown ethertype', ethernet(link, 0x88cc, Buffer.alloc(50)), 'ethertype'],
  ['a VLAN tag', ethernet(link, ETHERNET.vlan, Buffer.concat([Buffer.from([0, 5, 0x86, 0xdd]), ipv6({ from: OWN, to: NEAR }, tcp(80))])), 'ethertype'],
  ['IPv6 that says to be version 4', ethernet(link, ETHERNET.ipv6, ipv6({ from: OWN, to: NEAR }, tcp(80), { version: 4 })), 'malformed'],
  ['TCP that ends early', six(NEAR, tcp(80)).subarray(0, 60), 'malformed'],
  ['a neighbour message that ends early', nd(icmp6(136), OWN, 'ff02::1'), 'malformed'],
  ['ARP that ends early', arpFrame({}).subarray(0, 30), 'malformed'],
]

// biome-ignore format: a table
const ARRIVING: readonly (readonly [what: string, frame: Buffer, expected: Expected])[] = [
  ['a packet of the same network', six(OWN, tcp(80), NEAR), 'pass'],
  ['an answer of the resolver', six(OWN, udp(53), 'fdaa::3'), 'pass'],
  ['flycast of the same network', six(OWN, tcp(80), FLYCAST), 'pass'],
  ['an answer from the internet', six(OWN, tcp(443), PUBLIC6), 'pass'],
  ['an advertisement of the gateway to its link-local address', nd(neighbour(136, GATEWAY, GATEWAY_MAC), GATEWAY, OWN_LINK_LOCAL), 'pass'],
  ['the proxy of the host', four(V4.own, tcp(8080), V4.gateway), 'pass'],
  ['public UDP', four(V4.second, udp(5000), PUBLIC4), 'pass'],
  ['another network', six(OWN, tcp(80), 'fdaa:0:8:a7b:1:3333:4444:2'), 'other_network'],
  ['another host itself', six(OWN, tcp(80), 'fdaa:a7b:2::1'), 'other_network'],
  ['a router advertisement', nd(icmp6(134, Buffer.alloc(12)), 'fe80::1', 'ff02::1'), 'router_advertisement'],
  ['a redirect', nd(icmp6(137, Buffer.alloc(36)), 'fe80::1', OWN), 'router_advertisement'],
  ["another machine's address", six(NEAR, tcp(80), FAR), 'not_for_machine'],
  ["another machine's IPv4", four('172.19.0.10', tcp(80), PUBLIC4), 'not_for_machine'],
]

/** A packet as a machine of another host made it, with its checksum, in the form that it has on the mesh. */
function fromFar(target: string, part: Part, source = FAR, generation = 0): Buffer {
  const packet = ipv6({ from: source, to: target }, part)
  ipv6Bytes(onMesh(source, generation)).copy(packet, 8)
  ipv6Bytes(onMesh(target)).copy(packet, 24)
  return ethernet(link, ETHERNET.ipv6, packet)
}

const onMesh = (address: string, generation = 0) => {
  const { network, ...rest } = swapSixPn(parseSixPn(address))
  return formatSixPn({ network: network + generation * 0x1_0000, ...rest })
}
const bare = (from: string, to: string) =>
  ethernet(link, ETHERNET.ipv6, ipv6({ from, to }, tcp(80)))

// biome-ignore format: a table
const FROM_MESH: readonly (readonly [what: string, frame: Buffer, expected: Expected])[] = [
  ['a packet for a machine here', fromFar(NEAR, tcp(80)), 'redirect'],
  ['the same, sealed with the next key', fromFar(NEAR, tcp(80), FAR, 1), 'redirect'],
  ['a packet of another host for this one', bare('fdaa:a7b:2::1', 'fdaa:a7b:1::1'), 'pass'],
  ['a machine that is not here', fromFar('fdaa:0:7:a7b:1:9:9:2', tcp(80)), 'machine_unknown'],
  ['a packet for another host', fromFar('fdaa:0:7:a7b:3:9:9:2', tcp(80)), 'host_unknown'],
  ['a source of another network', fromFar(NEAR, tcp(80), 'fdaa:0:8:a7b:2:5555:6666:2'), 'other_network'],
  ['a host that speaks to a machine', bare('fdaa:a7b:2::1', onMesh(NEAR)), 'other_network'],
  ['a machine that speaks to the host', bare(onMesh(FAR), 'fdaa:a7b:1::1'), 'other_network'],
  ['an address of no host', bare('fdaa:a7d:2::1', onMesh(NEAR)), 'source_spoofed'],
  ['a public source', bare(PUBLIC6, onMesh(NEAR)), 'source_spoofed'],
  ['IPv4', ethernet(link, ETHERNET.ipv4, ipv4({ from: V4.own, to: V4.gateway }, udp(5))), 'malformed'],
]

const SSH = 'fdaa:0:7:a7b:1:3333:4444:2'
const answer = tcp(40_000, TCP_ACK, 22)
// biome-ignore format: a table
const FROM_SSH: readonly (readonly [what: string, frame: Buffer, expected: Expected])[] = [
  ['an answer to a machine here', six(OWN, answer, SSH), 'redirect'],
  ['an answer to a machine of another host', six(FAR, answer, SSH), 'redirect'],
  ['from another port', six(OWN, tcp(40_000, TCP_ACK, 23), SSH), 'source_spoofed'],
  ['from a machine of another host', six(OWN, answer, FAR), 'source_spoofed'],
  ['from another address of the machine', six(OWN, answer, SSH.replace(/2$/, '7')), 'source_spoofed'],
  ['to another network', six('fdaa:0:8:a7b:1:3333:4444:2', answer, SSH), 'other_network'],
  ['to the internet', six(PUBLIC6, answer, SSH), 'other_network'],
  ['a ping', six(OWN, icmp6(128), SSH), 'host_service'],
  ['UDP', six(OWN, udp(53), SSH), 'host_service'],
  ['an answer in fragments', six(OWN, fragment(0, false, answer), SSH), 'host_service'],
  ['TCP that ends early', six(OWN, answer, SSH).subarray(0, 55), 'malformed'],
  ['IPv4', four(V4.own, tcp(80), V4.gateway), 'ethertype'],
]

for (const [program, table] of [
  ['from_machine', SENT],
  ['to_machine', ARRIVING],
  ['from_mesh_frame', FROM_MESH],
  ['from_ssh', FROM_SSH],
] as const) {
  test(`every packet of the table of ${program} ends as it says, and is counted`, async (t) => {
    const { run, drops } = await bench(t)
    const wrong: string[] = []
    for (const [what, frame, expected] of table) {
      const before = await drops()
      const { action } = await run(program, frame)
      const seen = newDrops(before, await drops())
      const isDrop = expected !== 'pass' && expected !== 'redirect'
      const wanted = isDrop ? ACTIONS.drop : ACTIONS[expected]
      const reasons = isDrop ? [expected] : []
      if (action !== wanted || seen.join() !== reasons.join()) {
        wrong.push(
          `${what}: expected ${expected}, action ${action}, counted ${seen.join() || 'nothing'}`,
        )
      }
    }
    assert.deepEqual(wrong, [])
  })
}

test('a packet to another host has its fields swapped, and its checksum is still right there', async (t) => {
  const { run } = await bench(t)
  const sent = await run('from_machine', six(FAR, tcp(80)))
  const onWire = sent.frame.subarray(14)
  assert.equal(onWire.subarray(8, 24).toString('hex'), 'fdaa0a7b000100000007111122220002')
  assert.equal(onWire.subarray(24, 40).toString('hex'), 'fdaa0a7c000200000007555566660002')
  assert.equal(onWire[7], 63, 'its hop limit')
  const arrived = await run('from_mesh_frame', fromFar(NEAR, tcp(80), FAR, 1))
  const delivered = arrived.frame.subarray(14)
  assert(isIntact(delivered), 'the checksum of what is delivered')
  assert.equal(arrived.frame.subarray(0, 6).toString('hex'), '026e33334444')
  assert.equal(delivered.subarray(8, 24).toString('hex'), 'fdaa000000070a7b0002555566660002')
  assert.equal(delivered.subarray(24, 40).toString('hex'), 'fdaa000000070a7b0001333344440002')
})

test('a connection to port 22 of a machine goes to the host’s end, whatever way it came', async (t) => {
  const { run, shell } = await bench(t)
  const macOf = async (program: 'from_machine' | 'from_mesh_frame', frame: Buffer) =>
    (await run(program, frame)).frame.subarray(0, 6).toString('hex')
  const [machine, host] = ['026e33334444', '026777000016']
  assert.equal(await macOf('from_machine', six(NEAR, tcp(22))), host)
  assert.equal(await macOf('from_mesh_frame', fromFar(NEAR, tcp(22))), host)
  assert.equal(await macOf('from_machine', six(NEAR, tcp(23))), machine)
  assert.equal(await macOf('from_machine', six(NEAR, udp(22))), machine)
  assert.equal(await macOf('from_machine', six(NEAR.replace(/2$/, '7'), tcp(22))), machine)
  const behindOptions = extension(NEXT.destinationOptions, tcp(22))
  assert.equal(await macOf('from_machine', six(NEAR, behindOptions)), machine)
  assert.match(await shell('ip -o link show gwssh0'), /02:67:77:00:00:01/)
})

test('a machine that sends more than it may loses what is above', async (t) => {
  const { run, programs } = await bench(t)
  const limits = { sendBytesPerS: 1024, burstBytes: 200 }
  await programs.set(machineEntries(IFINDEX, { ...MACHINE, ...limits }))
  const frame = six(NEAR, udp(9, Buffer.alloc(100)))
  const actions = [await run('from_machine', frame), await run('from_machine', frame)]
  assert.deepEqual(
    actions.map(({ action }) => action),
    [ACTIONS.redirect, ACTIONS.drop],
  )
  assert.equal((await programs.counters()).get(IFINDEX)?.drops.rate, 1)
})

test('random bytes are never taken for a packet that may pass to another network', async (t) => {
  assert.equal(TRIAL_HOST, parseSixPn(OWN).host)
  const { run } = await bench(t)
  for (let length = 14; length < 100; length += 9) {
    const frame = Buffer.alloc(length, length)
    assert.equal((await run('from_machine', frame)).action, ACTIONS.drop)
  }
})
