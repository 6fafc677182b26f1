/**
 * Keys and values of the maps, as native/bpf/layout.h has them: change both in one commit, and LAYOUT too.
 * Numbers are little-endian, as on every architecture that we run on; addresses are as on the wire.
 */

import assert from 'node:assert/strict'
import { ipv6Bytes, type SixPnAddress, sixPnBytes } from '../six-pn-address.ts'
import { DROP_REASONS, type DropReason, type Drops } from './drop-reason.ts'
import {
  OPEN_TRAFFIC,
  POLICY_PORTS_MAX,
  type PolicyPort,
  policedDirections,
  type TrafficPolicy,
} from './traffic-policy.ts'
import { ipv4Bytes, macBytes } from './wire-text.ts'

/** In the path of the pinned maps. Maps of another layout are never used. */
export const LAYOUT = 2

export type MapName =
  | 'machines'
  | 'addresses'
  | 'hosts'
  | 'services'
  | 'flycast'
  | 'destinations4'
  | 'destinations6'
  | 'policies'
  | 'flows'
  | 'buckets'
  | 'counters'
  | 'settings'

/** One entry; `key` and `value` as bytes. */
export interface Entry {
  readonly map: MapName
  readonly key: Buffer
  readonly value: Buffer
}

export interface MachineEntry {
  readonly address: SixPnAddress
  readonly ipv4: string
  readonly ipv4Second: string
  readonly ipv4Gateway: string
  readonly mac: string
  readonly gatewayMac: string
  /** 0: unlimited. */
  readonly sendBytesPerS: number
  readonly burstBytes: number
  readonly policy: TrafficPolicy
}

export const machineEntries = (ifindex: number, machine: MachineEntry): Entry[] => [
  { map: 'buckets', key: u32(ifindex), value: Buffer.alloc(BUCKET_BYTES) },
  linkEntry(ifindex, machine),
  addressEntry(ifindex, machine.address),
]

const linkEntry = (ifindex: number, machine: MachineEntry): Entry => ({
  map: 'machines',
  key: u32(ifindex),
  value: Buffer.concat([
    sixPnBytes({ ...machine.address, low: 0 }),
    ipv4Bytes(machine.ipv4),
    ipv4Bytes(machine.ipv4Second),
    ipv4Bytes(machine.ipv4Gateway),
    macBytes(machine.mac),
    macBytes(machine.gatewayMac),
    u64(machine.sendBytesPerS),
    u64(machine.burstBytes),
    u32(policedDirections(machine.policy)),
    u32(0),
  ]),
})

/** The device behind which the host answers port 22 of machines: a link with the link's addresses alone. */
export const sshEndEntry = (
  ifindex: number,
  macs: Pick<MachineEntry, 'mac' | 'gatewayMac'>,
): Entry => linkEntry(ifindex, { ...NOBODY, ...macs })

const NOBODY = {
  address: { network: 0, host: 0, machine: 0, low: 0 },
  ...{ ipv4: '0.0.0.0', ipv4Second: '0.0.0.0', ipv4Gateway: '0.0.0.0' },
  ...{ sendBytesPerS: 0, burstBytes: 0 },
  policy: OPEN_TRAFFIC,
}

const BUCKET_BYTES = 24

/** What a machine that is policed may open, and what may be opened at it. */
export const policyEntry = (
  ifindex: number,
  { ingress = [], egress = [] }: TrafficPolicy,
): Entry => ({
  map: 'policies',
  key: u32(ifindex),
  value: Buffer.concat([policyPorts(ingress), policyPorts(egress)]),
})

function policyPorts(ports: readonly PolicyPort[]): Buffer {
  assert(ports.length <= POLICY_PORTS_MAX)
  const value = Buffer.alloc(POLICY_PORTS_MAX * 4)
  for (const [at, { protocol, port }] of ports.entries()) {
    value.writeUInt8(PROTOCOL_NUMBERS[protocol], at * 4)
    value.writeUInt16BE(port, at * 4 + 2)
  }
  return value
}

/** Of the map in map `flows` that a machine has: the arguments of `bpftool map create`. */
export const FLOWS_SHAPE = 'type lru_hash key 40 value 16 entries 8192 name flows_of_mach'

/** What is found at an address without its last 16 bits: a machine's link, or the device of peers. */
export const addressEntry = (ifindex: number, address: SixPnAddress): Entry => ({
  map: 'addresses',
  key: sixPnBytes(address).subarray(2, 14),
  value: u32(ifindex),
})

/** What every interface that programs decide at must have. */
export const deviceEntry = (ifindex: number): Entry => ({
  map: 'counters',
  key: u32(ifindex),
  value: NO_COUNTS,
})

/** The way to another host. Generations are those of the keys at both ends. */
export interface HostRoute {
  readonly host: number
  readonly ifindex: number
  readonly localGeneration: number
  readonly remoteGeneration: number
}

export const routeEntry = (route: HostRoute): Entry => ({
  map: 'hosts',
  key: u32be(route.host),
  value: Buffer.concat([
    u32(route.ifindex),
    u32(route.localGeneration),
    u32(route.remoteGeneration),
  ]),
})

/** What machines may ask of the host: `port` is absent for pings. */
export interface PlatformService {
  readonly address: string
  readonly protocol: 'tcp' | 'udp' | 'icmp6'
  readonly port?: number
}

const PROTOCOL_NUMBERS = { tcp: 6, udp: 17, icmp6: 58 } as const

export function serviceEntry({ address, protocol, port = 0 }: PlatformService): Entry {
  const ends = Buffer.from([port >> 8, port & 0xff, PROTOCOL_NUMBERS[protocol], 0])
  return { map: 'services', key: Buffer.concat([ipv6Bytes(address), ends]), value: u32(1) }
}

/** Port 22 of all machines, and the device behind which the host answers it: native/bpf/ssh.h. */
export const sshServiceEntry = (ifindex: number): Entry => ({
  ...serviceEntry({ address: '::', protocol: 'tcp', port: 22 }),
  value: u32(ifindex),
})

export const flycastEntry = (address: string): Entry => ({
  map: 'flycast',
  key: ipv6Bytes(address),
  value: u32(1),
})

/** `edge`: the platform's own anycast addresses. `open`: an exception within a denied prefix. */
export interface DestinationRule {
  readonly prefix: string
  readonly kind: 'denied' | 'edge' | 'open'
}

const DESTINATION_NUMBERS = { denied: 1, edge: 2, open: 3 } as const

export function destinationEntry({ prefix, kind }: DestinationRule): Entry {
  const [address = '', bits = ''] = prefix.split('/')
  const isIpv4 = !address.includes(':')
  const bytes = isIpv4 ? ipv4Bytes(address) : ipv6Bytes(address)
  return {
    map: isIpv4 ? 'destinations4' : 'destinations6',
    key: Buffer.concat([u32(Number(bits)), bytes]),
    value: u32(DESTINATION_NUMBERS[kind]),
  }
}

export const settingsEntry = (host: number): Entry => ({
  map: 'settings',
  key: u32(0),
  value: u32be(host),
})

/** What passed at one interface, and what did not. `in` is from the machine, or from the mesh. */
export interface Counters {
  readonly inPackets: number
  readonly inBytes: number
  readonly outPackets: number
  readonly outBytes: number
  readonly drops: Drops
}

/** bpftool sets it for every CPU. */
const NO_COUNTS = Buffer.alloc(8 * (4 + DROP_REASONS.length))

/** The sum over all CPUs. */
export function decodeCounters(cpus: readonly Buffer[]): Counters {
  const at = (index: number) =>
    cpus.reduce((sum, cpu) => sum + Number(cpu.readBigUInt64LE(index * 8)), 0)
  const drops: Partial<Record<DropReason, number>> = {}
  for (const [index, reason] of DROP_REASONS.entries()) {
    const count = at(4 + index)
    if (count > 0) drops[reason] = count
  }
  return { inPackets: at(0), inBytes: at(1), outPackets: at(2), outBytes: at(3), drops }
}

export function u32(number: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(number)
  return bytes
}

function u32be(number: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(number)
  return bytes
}

function u64(number: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(Math.round(number)))
  return bytes
}
