/** What of the network is there on this host, read without changing anything and without any daemon. */
import { join } from 'node:path'
import type { MachineId } from '#base'
import { PEER_DEVICE } from '../gateway/peer-gateway.ts'
import { hostDevice } from '../machine/link-names.ts'
import { networkOf } from '../machine/link-plan.ts'
import { MTU_BYTES } from '../machine/machine-networks.ts'
import { MachineRecords } from '../machine/machine-record.ts'
import { meshDevice, readMeshDevice } from '../mesh/mesh-device.ts'
import type { Counters } from '../programs/map-layout.ts'
import { Programs } from '../programs/programs.ts'
import { OPEN_TRAFFIC, type TrafficPolicy } from '../programs/traffic-policy.ts'
import { backhaulAddress, GENERATION_COUNT, parseMeshPrefix } from '../six-pn-address.ts'
import type { System } from '../system.ts'
import { type GatewayStatus, readGatewayStatus } from './device-status.ts'

/** Where a host keeps what this part must not lose. */
export const STATE_FOLDER = '/var/lib/godwit/net6'

export interface MachineStatus {
  readonly id: MachineId
  readonly networkId: number
  readonly privateIp: string
  readonly privateIpv4: string
  readonly device: string
  readonly isUp: boolean
  /** The programs decide at its link, in both directions. */
  readonly isGuarded: boolean
  /** What an app's network policies let through, since its start. */
  readonly policy: TrafficPolicy
  readonly counters: Counters
}

export interface PeerStatus {
  readonly device: string
  readonly publicKey: string
  /** Of the other host, in the mesh. */
  readonly backhaulIp: string
  readonly generation: number
  readonly endpoint?: string
  /** Since the epoch; absent: never. */
  readonly handshakeMs?: number
  readonly receivedBytes: number
  readonly sentBytes: number
}

export interface MeshDeviceStatus {
  readonly device: string
  readonly listenPort: number
  readonly isGuarded: boolean
  readonly counters: Counters
}

export interface NetworkStatus {
  /** False: the programs were never loaded since this host started. */
  readonly isSetUp: boolean
  /** The rules for connections to and from the internet stand. */
  readonly hasFirewall: boolean
  readonly machines: readonly MachineStatus[]
  readonly mesh: readonly MeshDeviceStatus[]
  readonly peers: readonly PeerStatus[]
  /** Where people's devices join. Absent: not here, or its device is gone. */
  readonly gateway?: GatewayStatus
}

export interface StatusOptions {
  readonly system: System
  /** @default STATE_FOLDER */
  readonly folder?: string
  readonly bpfFolder?: string
}

export async function networkStatus(
  { system, folder = STATE_FOLDER, ...options }: StatusOptions,
  signal?: AbortSignal,
): Promise<NetworkStatus> {
  const programs = await Programs.find({ system, ...options }, signal)
  const counters = (await programs?.counters(signal)) ?? new Map<number, Counters>()
  const links = await readLinks(system, signal)
  const records = await new MachineRecords(join(folder, 'machines')).readAll()
  const machines: MachineStatus[] = []
  for (const record of records.values()) {
    if (record.isAtRest) continue
    const device = hostDevice(record.id)
    const link = links.get(device)
    const { id, networkId, privateIp, privateIpv4 } = networkOf(record, MTU_BYTES)
    const isGuarded = link !== undefined && (await isGuardedAt(system, device, signal))
    const isUp = link?.isUp ?? false
    const counted = counters.get(link?.ifindex ?? 0) ?? NOTHING
    machines.push({
      id,
      networkId,
      privateIp,
      privateIpv4,
      device,
      isUp,
      isGuarded,
      policy: record.policy ?? OPEN_TRAFFIC,
      counters: counted,
    })
  }
  const mesh: MeshDeviceStatus[] = []
  const peers: PeerStatus[] = []
  for (let generation = 0; generation < GENERATION_COUNT; generation += 1) {
    const device = meshDevice(generation)
    const state = links.has(device) ? await readMeshDevice(system, generation, signal) : undefined
    if (state === undefined) continue
    const isGuarded = await isGuardedAt(system, device, signal)
    const counted = counters.get(links.get(device)?.ifindex ?? 0) ?? NOTHING
    mesh.push({ device, listenPort: state.listenPort, isGuarded, counters: counted })
    for (const { allowedIps, handshakeMs, keepaliveS: _, ...peer } of state.peers) {
      if (allowedIps[0] === undefined) continue
      const of = parseMeshPrefix(allowedIps[0])
      peers.push({
        ...peer,
        device,
        backhaulIp: backhaulAddress(of.host),
        generation: of.generation,
        ...(handshakeMs === 0 ? {} : { handshakeMs }),
      })
    }
  }
  const ofGateway = links.get(PEER_DEVICE)
  const gateway =
    ofGateway &&
    (await readGatewayStatus(
      system,
      {
        isGuarded: await isGuardedAt(system, PEER_DEVICE, signal),
        counters: counters.get(ofGateway.ifindex) ?? NOTHING,
      },
      signal,
    ))
  return {
    ...{ isSetUp: programs !== undefined, hasFirewall: await hasFirewall(system, signal) },
    ...{ machines, mesh, peers },
    ...(gateway === undefined ? {} : { gateway }),
  }
}

const NOTHING: Counters = { inPackets: 0, inBytes: 0, outPackets: 0, outBytes: 0, drops: {} }

async function readLinks(system: System, signal?: AbortSignal) {
  const { stdout } = await system.run('ip', ['-j', 'link', 'show'], { signal })
  const rows = JSON.parse(stdout) as { ifname: string; ifindex: number; flags: string[] }[]
  return new Map(
    rows.map(({ ifname, ifindex, flags }) => [
      ifname,
      { ifindex, isUp: flags.includes('UP') && flags.includes('LOWER_UP') },
    ]),
  )
}

async function isGuardedAt(system: System, device: string, signal?: AbortSignal): Promise<boolean> {
  for (const direction of ['ingress', 'egress']) {
    const args = ['filter', 'show', 'dev', device, direction]
    const { stdout } = await system.run('tc', args, { okCodes: [0, 1, 2], signal })
    if (!/(from|to)_(machine|mesh|peer)/.test(stdout)) return false
  }
  return true
}

async function hasFirewall(system: System, signal?: AbortSignal): Promise<boolean> {
  const args = ['list', 'table', 'inet', 'godwit_net6']
  return (await system.run('nft', args, { okCodes: [0, 1], signal })).exitCode === 0
}
