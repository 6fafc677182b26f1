/** A host whose programs take packets one by one, by BPF_PROG_TEST_RUN, and the ends that those packets have. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setFlycast } from '../host-network.ts'
import { GATEWAY_MAC } from '../machine/link-names.ts'
import { parseSixPn } from '../six-pn-address.ts'
import { ETHERNET, ethernet, ipv4, ipv6, type Part } from '../trial/packets.ts'
import { networkedHost } from '../trial-host.fixture.ts'
import { DROP_REASONS, type DropReason, type Drops } from './drop-reason.ts'
import { destinationEntry, deviceEntry, machineEntries, routeEntry } from './map-layout.ts'
import type { Programs } from './programs.ts'
import { OPEN_TRAFFIC } from './traffic-policy.ts'

/** BPF_PROG_TEST_RUN has packets arrive at the loopback device. */
export const IFINDEX = 1
const LOCAL_IFINDEX = 4001
const MESH_IFINDEX = 4002
export const ACTIONS = { pass: 0, drop: 2, redirect: 7 } as const

export const OWN_MAC = '02:6e:11:11:22:22'
export const OWN = 'fdaa:0:7:a7b:1:1111:2222:2'
export const GATEWAY = 'fdaa:0:7:a7b:1:1111:2222:1'
export const OWN_LINK_LOCAL = 'fe80::6e:11ff:fe11:2222'
export const NEAR = 'fdaa:0:7:a7b:1:3333:4444:2'
export const FAR = 'fdaa:0:7:a7b:2:5555:6666:2'
export const FLYCAST = 'fdaa:0:7:0:1::5'
export const V4 = { own: '172.19.0.2', second: '172.19.0.3', gateway: '172.19.0.1' }
export const PUBLIC4 = '198.51.100.9'
export const PUBLIC6 = '2001:db8:77::9'
/** Of the host itself, and known to no list of ours. */
export const HOST4 = '203.0.113.77'
export const HOST6 = '2001:db8:66::1'

export const link = { from: OWN_MAC, to: GATEWAY_MAC }
export const six = (to: string, part: Part, from = OWN) =>
  ethernet(link, ETHERNET.ipv6, ipv6({ from, to }, part))
export const four = (to: string, part: Part, from = V4.own) =>
  ethernet(link, ETHERNET.ipv4, ipv4({ from, to }, part))

export type Expected = 'pass' | 'redirect' | DropReason

export const MACHINE = {
  address: parseSixPn(OWN),
  ipv4: V4.own,
  ipv4Second: V4.second,
  ipv4Gateway: V4.gateway,
  mac: OWN_MAC,
  gatewayMac: GATEWAY_MAC,
  sendBytesPerS: 0,
  burstBytes: 0,
  policy: OPEN_TRAFFIC,
}

export async function bench(t: TestContext) {
  const host = await networkedHost(t)
  const { system, programs, folder } = host
  await programs.set([
    deviceEntry(IFINDEX),
    ...machineEntries(IFINDEX, MACHINE),
    ...machineEntries(LOCAL_IFINDEX, {
      ...MACHINE,
      address: parseSixPn(NEAR),
      mac: '02:6e:33:33:44:44',
    }),
    deviceEntry(MESH_IFINDEX),
    routeEntry({
      host: parseSixPn(FAR).host,
      ifindex: MESH_IFINDEX,
      localGeneration: 0,
      remoteGeneration: 1,
    }),
    destinationEntry({ prefix: '203.0.113.0/26', kind: 'edge' }),
    destinationEntry({ prefix: '2001:db8:dead::/48', kind: 'denied' }),
  ])
  await setFlycast(system, programs, [FLYCAST])
  // A way out, addresses of the host's own, and something that listens.
  await host.shell(`
    ip link add out type veth peer name far
    ip link set out up; ip link set far up
    ip address add ${HOST4}/26 dev out; ip -6 address add ${HOST6}/64 dev out nodad
    ip address add ${V4.gateway}/29 dev out
    ip route add default dev out; ip -6 route add default dev out
    sysctl -q -w net.ipv4.conf.lo.forwarding=1 net.ipv6.conf.lo.forwarding=1`)
  const run = async (program: Parameters<Programs['pathOf']>[0], frame: Buffer) => {
    const [input, output] = [join(folder, 'in'), join(folder, 'out')]
    writeFileSync(input, frame)
    const args = ['-j', 'prog', 'run', 'pinned', programs.pathOf(program), 'data_in', input]
    const { stdout } = await system.run('bpftool', [...args, 'data_out', output])
    return {
      action: (JSON.parse(stdout) as { retval: number }).retval,
      frame: readFileSync(output),
    }
  }
  const drops = async () => (await programs.counters()).get(IFINDEX)?.drops ?? {}
  return { ...host, run, drops }
}

export const newDrops = (before: Drops, after: Drops): string[] =>
  DROP_REASONS.flatMap((reason) =>
    Array.from({ length: (after[reason] ?? 0) - (before[reason] ?? 0) }, () => reason),
  )
