import { readKnownGateways } from '../gateway/known-gateways.ts'
import { readHostId } from '../host-number.ts'
import { MTU_BYTES } from '../machine/machine-networks.ts'
import { keysFile } from '../mesh/mesh.ts'
import { type MeshKey, readMeshKeys } from '../mesh/mesh-keys.ts'
import { SILENT_MS } from '../mesh/mesh-plan.ts'
import type { System } from '../system.ts'
import type { DeviceStatus } from './device-status.ts'
import { faultsIn, type PeerTrial } from './faults.ts'
import type { DeviceTrial, GatewayTrial } from './gateway-faults.ts'
import { gatewaysThatAnswer } from './gateway-trial.ts'
import type { NetworkFault } from './network-fault.ts'
import {
  networkStatus,
  type PeerStatus,
  STATE_FOLDER,
  type StatusOptions,
} from './network-status.ts'

const IPV6_AND_ICMP_BYTES = 48
const SMALLEST_BYTES = 1280
const TRIALS_AT_ONCE = 8

export interface FindFaultsOptions extends StatusOptions {
  /** @default MTU_BYTES */
  readonly mtuBytes?: number
  readonly progress?: (step: string) => void
}

/**
 * Tries every link of this host: pings inside and outside the mesh, small and large, and a handshake with each gateway for
 * people's devices, by a WireGuard device of its own that is gone afterwards. Changes nothing else.
 */
export async function findNetworkFaults(
  { mtuBytes = MTU_BYTES, progress, ...options }: FindFaultsOptions,
  signal?: AbortSignal,
): Promise<NetworkFault[]> {
  const { system, folder = STATE_FOLDER } = options
  const status = await networkStatus(options, signal)
  const peers = newestPeers(status.peers)
  const trials: PeerTrial[] = []
  for (let at = 0; at < peers.length; at += TRIALS_AT_ONCE) {
    progress?.(`trying hosts, ${at} of ${peers.length} done`)
    const some = peers.slice(at, at + TRIALS_AT_ONCE)
    trials.push(...(await Promise.all(some.map((one) => tryPeer(system, one, mtuBytes, signal)))))
  }
  progress?.("trying gateways for people's devices")
  const gateways = status.isSetUp ? await tryGateways(system, folder, signal) : []
  const devices = await tryDevices(system, status.gateway?.devices ?? [], signal)
  return faultsIn({ status, trials, gateways, devices, mtuBytes, nowMs: Date.now() })
}

async function tryGateways(
  system: System,
  folder: string,
  signal?: AbortSignal,
): Promise<GatewayTrial[]> {
  const known = await readKnownGateways(folder)
  if (known.length === 0) return []
  const { keys, current } = await readMeshKeys(keysFile(folder))
  const own = await readHostId(folder)
  const answering = await gatewaysThatAnswer(system, known, keys[current] as MeshKey, signal)
  return await inParts(known, async (gateway) => {
    const isOwn = gateway.hostId === own
    if (answering.has(gateway.hostId)) return { gateway, isOwn, answersHandshake: true }
    const answersOutside = await answers(system, addressOf(gateway.endpoint), 56, signal)
    return { gateway, isOwn, answersHandshake: false, answersOutside }
  })
}

/** Those that were heard by UDP and are silent: all others tell nothing by being silent. */
async function tryDevices(
  system: System,
  devices: readonly DeviceStatus[],
  signal?: AbortSignal,
): Promise<DeviceTrial[]> {
  const nowMs = Date.now()
  const silent = devices.filter(
    ({ endpoint, handshakeMs = nowMs }) =>
      endpoint !== undefined && nowMs - handshakeMs > SILENT_MS,
  )
  return await inParts(silent, async (device) => ({
    device,
    answersOutside: await answers(system, addressOf(device.endpoint ?? ''), 56, signal),
  }))
}

async function inParts<One, Result>(
  all: readonly One[],
  work: (one: One) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  for (let at = 0; at < all.length; at += TRIALS_AT_ONCE) {
    results.push(...(await Promise.all(all.slice(at, at + TRIALS_AT_ONCE).map(work))))
  }
  return results
}

/** Of `ip:port`, `[ip]:port`. */
const addressOf = (endpoint: string) => endpoint.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')

/** A host that changes its key is there twice: what was heard last counts. */
function newestPeers(peers: readonly PeerStatus[]): PeerStatus[] {
  const newest = new Map<string, PeerStatus>()
  for (const peer of peers) {
    const other = newest.get(peer.backhaulIp)
    if ((other?.handshakeMs ?? -1) < (peer.handshakeMs ?? 0)) newest.set(peer.backhaulIp, peer)
  }
  return [...newest.values()]
}

async function tryPeer(
  system: System,
  peer: PeerStatus,
  mtuBytes: number,
  signal?: AbortSignal,
): Promise<PeerTrial> {
  const inside = (bytes: number) =>
    answers(system, peer.backhaulIp, bytes - IPV6_AND_ICMP_BYTES, signal)
  if (await inside(128)) {
    return { peer, answersInside: true, largestBytes: await largest(inside, mtuBytes) }
  }
  if (peer.endpoint === undefined) return { peer, answersInside: false }
  const answersOutside = await answers(system, addressOf(peer.endpoint), 56, signal)
  return { peer, answersInside: false, answersOutside }
}

/** By halves between what IPv6 promises and what the mesh is made for. */
async function largest(passes: (bytes: number) => Promise<boolean>, most: number): Promise<number> {
  if (await passes(most)) return most
  let [low, high] = [SMALLEST_BYTES, most]
  if (!(await passes(low))) return 0
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (await passes(middle)) low = middle
    else high = middle
  }
  return low
}

/** Two pings, whole: one may be lost by chance. */
async function answers(
  system: System,
  address: string,
  payloadBytes: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const args = ['-q', '-c', '2', '-i', '0.2', '-W', '1', '-M', 'do', '-s', String(payloadBytes)]
  const { exitCode } = await system.run('ping', [...args, address], { okCodes: [0, 1, 2], signal })
  return exitCode === 0
}
