/** What network policies let through, packet by packet: each row of a story meets what the rows before it left. */
import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { preparePolicing } from '../machine/police.ts'
import { ipv6Bytes } from '../six-pn-address.ts'
import {
  ETHERNET,
  ethernet,
  extension,
  fragment,
  icmp4,
  icmp6,
  ipv4,
  ipv6,
  NEXT,
  type Part,
  TCP_ACK,
  TCP_SYN,
  tcp,
  udp,
} from '../trial/packets.ts'
import { machineEntries } from './map-layout.ts'
import {
  ACTIONS,
  bench,
  type Expected,
  FAR,
  FLYCAST,
  four,
  GATEWAY,
  IFINDEX,
  link,
  MACHINE,
  NEAR,
  newDrops,
  OWN,
  PUBLIC4,
  PUBLIC6,
  six,
  V4,
} from './packet-bench.fixture.ts'
import { POLICY_PORTS_MAX, type TrafficPolicy } from './traffic-policy.ts'

/** `>`: the machine sends it; `<`: it arrives. */
type Row = readonly [direction: '>' | '<', what: string, frame: Buffer, expected: Expected]

/** A frame for the machine. */
const toOwn = (from: string, part: Part) => six(OWN, part, from)
const toOwn4 = (from: string, part: Part, to = V4.own) => four(to, part, from)
const fourFragment = (part: Part, flags: number) =>
  ethernet(link, ETHERNET.ipv4, ipv4({ from: V4.own, to: PUBLIC4 }, part, { fragment: flags }))
/** Of the prefix that the bench says is the platform's own. */
const EDGE4 = '203.0.113.5'
const SYN_ACK = TCP_SYN | TCP_ACK
const echo = (type: 128 | 129, id: number) => icmp6(type, Buffer.from([id >> 8, id & 0xff, 0, 1]))
/** "Packet too big", about a packet of these ends. */
const tooBig = (from: string, to: string, part: Part) =>
  icmp6(2, Buffer.concat([Buffer.alloc(4), ipv6({ from, to }, part)]))

async function policed(t: TestContext, policy: TrafficPolicy) {
  const host = await bench(t)
  const { programs } = host
  await preparePolicing(programs, { ifindex: IFINDEX, policy })
  await programs.set(machineEntries(IFINDEX, { ...MACHINE, policy }))
  const tell = async (story: readonly Row[]) => {
    const wrong: string[] = []
    for (const [direction, what, frame, expected] of story) {
      const before = await host.drops()
      const { action } = await host.run(direction === '>' ? 'from_machine' : 'to_machine', frame)
      const seen = newDrops(before, await host.drops()).join()
      const isDrop = expected !== 'pass' && expected !== 'redirect'
      const wanted = isDrop ? ACTIONS.drop : ACTIONS[expected]
      if (action === wanted && seen === (isDrop ? expected : '')) continue
      wrong.push(`${what}: expected ${expected}, action ${action}, counted ${seen || 'nothing'}`)
    }
    assert.deepEqual(wrong, [])
  }
  return { ...host, tell }
}

test('egress: a machine opens connections to the listed ports alone, and gets their replies', async (t) => {
  const egress = [
    { protocol: 'tcp', port: 443 },
    { protocol: 'udp', port: 123 },
  ] as const
  const { tell } = await policed(t, { egress })
  // biome-ignore format: a table
  await tell([
    ['>', 'TCP to a listed port of a machine here', six(NEAR, tcp(443)), 'redirect'],
    ['>', 'TCP to a listed port at another host', six(FAR, tcp(443)), 'redirect'],
    ['>', 'TCP to a listed port of the internet', four(PUBLIC4, tcp(443)), 'pass'],
    ['>', 'the same over IPv6', six(PUBLIC6, tcp(443)), 'pass'],
    ['>', 'UDP to a listed port', four(PUBLIC4, udp(123)), 'pass'],
    ['>', 'a listed port of the other protocol', four(PUBLIC4, udp(443)), 'egress_policy'],
    ['>', 'TCP to another port of a machine', six(NEAR, tcp(80)), 'egress_policy'],
    ['>', 'TCP to another port of the internet', four(PUBLIC4, tcp(80)), 'egress_policy'],
    ['>', 'the same over IPv6', six(PUBLIC6, tcp(80)), 'egress_policy'],
    ['>', "TCP to the platform's own edge", four(EDGE4, tcp(8443)), 'egress_policy'],
    ['>', 'a listed port there', four(EDGE4, tcp(443)), 'pass'],
    ['>', 'a ping', six(NEAR, echo(128, 7)), 'egress_policy'],
    ['>', 'a ping of the internet', four(PUBLIC4, icmp4(8)), 'egress_policy'],
    ['>', 'destination options before a listed port', six(NEAR, extension(NEXT.destinationOptions, tcp(443))), 'redirect'],
    ['>', 'destination options before another', six(NEAR, extension(NEXT.destinationOptions, tcp(80))), 'egress_policy'],
    ['>', 'ESP', six(NEAR, { next: NEXT.esp, bytes: Buffer.alloc(16) }), 'egress_policy'],
    ['<', 'ingress is open', toOwn(NEAR, tcp(22, TCP_SYN, 5001)), 'pass'],
    ['>', 'the reply to what came in', six(NEAR, tcp(5001, SYN_ACK, 22)), 'redirect'],
    ['>', 'a connection of its own from that port', six(NEAR, tcp(5001, TCP_SYN, 22)), 'egress_policy'],
    ['>', 'a reply to somebody else', six(FAR, tcp(5001, SYN_ACK, 22)), 'egress_policy'],
    ['>', 'a reply from another of its addresses', six(NEAR, tcp(5001, SYN_ACK, 22), 'fdaa:0:7:a7b:1:1111:2222:9'), 'egress_policy'],
    ['<', 'a ping comes in', toOwn(NEAR, echo(128, 9)), 'pass'],
    ['>', 'its reply', six(NEAR, echo(129, 9)), 'redirect'],
    ['>', 'a reply to no ping', six(NEAR, echo(129, 10)), 'egress_policy'],
    ['>', 'what is too big of that connection', six(NEAR, tooBig(NEAR, OWN, tcp(22, TCP_ACK, 5001))), 'redirect'],
    ['>', 'what is too big of none', six(NEAR, tooBig(NEAR, OWN, tcp(22, TCP_ACK, 5002))), 'egress_policy'],
  ])
})

test('egress: DNS, the platform, the gateway and flycast stay in reach of a machine that may open nothing', async (t) => {
  const { tell } = await policed(t, { egress: [] })
  // biome-ignore format: a table
  await tell([
    ['>', 'a question to the resolver', six('fdaa::3', udp(53)), 'pass'],
    ['>', 'the API', six('fdaa::3', tcp(4280)), 'pass'],
    ['>', "the platform at its network's address", six('fdaa:0:7::3', tcp(4280)), 'pass'],
    ['>', 'flycast, which goes through the proxy', six(FLYCAST, tcp(80)), 'pass'],
    ['>', 'a ping of the gateway', six(GATEWAY, icmp6(128)), 'pass'],
    ['>', 'a ping of the IPv4 gateway', four(V4.gateway, icmp4(8)), 'pass'],
    ['>', "public UDP, which is the proxy's", four(PUBLIC4, udp(5000), V4.second), 'pass'],
    ['>', 'another resolver', four(PUBLIC4, udp(53)), 'egress_policy'],
    ['>', 'what was forbidden before still has its reason', four('10.0.0.1', tcp(443)), 'denied_destination'],
  ])
})

test('ingress: others open connections to the listed ports alone, and what the machine asks is answered', async (t) => {
  const { tell } = await policed(t, { ingress: [{ protocol: 'tcp', port: 80 }] })
  // biome-ignore format: a table
  await tell([
    ['<', 'a listed port', toOwn(NEAR, tcp(80)), 'pass'],
    ['<', 'another port', toOwn(NEAR, tcp(22)), 'ingress_policy'],
    ['<', 'the same of UDP', toOwn(NEAR, udp(80)), 'ingress_policy'],
    ['<', 'an answer to nothing', toOwn(NEAR, tcp(40_000, SYN_ACK, 22)), 'ingress_policy'],
    ['<', 'a ping', toOwn(NEAR, echo(128, 7)), 'ingress_policy'],
    ['>', 'egress is open', six(NEAR, tcp(5432, TCP_SYN, 5001)), 'redirect'],
    ['<', 'its answer', toOwn(NEAR, tcp(5001, SYN_ACK, 5432)), 'pass'],
    ['<', 'a connection from that port', toOwn(NEAR, tcp(5001, TCP_SYN, 5432)), 'ingress_policy'],
    ['>', 'a question over IPv4', four(PUBLIC4, udp(53)), 'pass'],
    ['<', 'its answer', toOwn4(PUBLIC4, { next: NEXT.udp, bytes: Buffer.concat([Buffer.from([0, 53, 0x9c, 0x40]), Buffer.alloc(12)]) }), 'pass'],
    ['<', 'one that nobody asked for', toOwn4(PUBLIC4, udp(53)), 'ingress_policy'],
    ['>', 'a ping', six(PUBLIC6, echo(128, 8)), 'pass'],
    ['<', 'its reply', toOwn(PUBLIC6, echo(129, 8)), 'pass'],
    ['<', 'what a router on the way says of a connection', toOwn('2001:db8:1::1', tooBig(OWN, NEAR, tcp(5432, TCP_ACK, 5001))), 'pass'],
    ['<', 'what it says of none', toOwn('2001:db8:1::1', tooBig(OWN, NEAR, tcp(5433, TCP_ACK, 5001))), 'ingress_policy'],
    ['<', 'the proxy of the host, by IPv4', toOwn4(V4.gateway, tcp(8080)), 'pass'],
    ['<', 'the same by 6PN', toOwn(GATEWAY, tcp(8080)), 'pass'],
    ['<', 'flycast', toOwn(FLYCAST, tcp(8080)), 'pass'],
    ['<', 'an answer of the resolver', toOwn('fdaa::3', udp(40_000)), 'pass'],
    ['<', 'an answer of the platform inside the network', toOwn('fdaa::4', udp(40_000)), 'pass'],
    ['<', 'public UDP, by the proxy', toOwn4(PUBLIC4, udp(5000), V4.second), 'pass'],
    ['<', 'a neighbour message of the gateway', toOwn('fe80::1', icmp6(136, Buffer.concat([Buffer.alloc(4), ipv6Bytes(GATEWAY)]))), 'pass'],
  ])
})

test('fragments follow the first of their packet', async (t) => {
  const { tell } = await policed(t, { egress: [{ protocol: 'udp', port: 9 }] })
  const payload = Buffer.alloc(64)
  // biome-ignore format: a table
  await tell([
    ['>', 'a later fragment of nothing', six(NEAR, fragment(64, true, udp(9))), 'egress_policy'],
    ['>', 'a first fragment to another port', six(NEAR, fragment(0, false, udp(10, payload))), 'egress_policy'],
    ['>', 'what follows it', six(NEAR, fragment(64, true, udp(10))), 'egress_policy'],
    ['>', 'a first fragment to a listed port', six(NEAR, fragment(0, false, udp(9, payload))), 'redirect'],
    ['>', 'what follows it', six(NEAR, fragment(64, true, udp(9))), 'redirect'],
    ['>', 'what follows it, to somebody else', six(FAR, fragment(64, true, udp(9))), 'egress_policy'],
    ['>', 'a later fragment of IPv4', fourFragment(udp(9), 8), 'egress_policy'],
    ['>', 'a first one', fourFragment(udp(9, payload), 0x2000), 'pass'],
    ['>', 'what follows it', fourFragment(udp(9), 8), 'pass'],
  ])
})

test('both directions at once: each opens to its own ports, and replies pass both ways', async (t) => {
  const ingress = Array.from({ length: POLICY_PORTS_MAX }, (_, at) => ({
    protocol: 'tcp' as const,
    port: 1000 + at,
  }))
  const { tell, programs } = await policed(t, { ingress, egress: [{ protocol: 'tcp', port: 443 }] })
  const last = 1000 + POLICY_PORTS_MAX - 1
  // biome-ignore format: a table
  await tell([
    ['<', 'the last of the listed ports', toOwn(NEAR, tcp(last, TCP_SYN, 6000)), 'pass'],
    ['>', 'its reply', six(NEAR, tcp(6000, SYN_ACK, last)), 'redirect'],
    ['<', 'one behind the last', toOwn(NEAR, tcp(last + 1)), 'ingress_policy'],
    ['>', 'the listed port', four(PUBLIC4, tcp(443, TCP_SYN, 6001)), 'pass'],
    ['<', 'its reply', toOwn4(PUBLIC4, tcp(6001, SYN_ACK, 443)), 'pass'],
    ['>', 'another port', four(PUBLIC4, tcp(80)), 'egress_policy'],
  ])
  await programs.makeFlows(IFINDEX)
  // biome-ignore format: a table
  await tell([
    ['>', 'the reply, once the connection is forgotten', six(NEAR, tcp(6000, TCP_ACK, last)), 'egress_policy'],
    ['<', 'who opened it speaks again', toOwn(NEAR, tcp(last, TCP_ACK, 6000)), 'pass'],
    ['>', 'the reply passes again', six(NEAR, tcp(6000, TCP_ACK, last)), 'redirect'],
  ])
})
