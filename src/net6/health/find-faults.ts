import { MTU_BYTES } from '../machine/machine-networks.ts'
import type { System } from '../system.ts'
import { faultsIn, type NetworkFault, type PeerTrial } from './faults.ts'
import { networkStatus, type PeerStatus, type StatusOptions } from './network-status.ts'

const IPV6_AND_ICMP_BYTES = 48
const SMALLEST_BYTES = 1280
const TRIALS_AT_ONCE = 8

export interface FindFaultsOptions extends StatusOptions {
  /** @default MTU_BYTES */
  readonly mtuBytes?: number
  readonly progress?: (step: string) => void
}

/** Tries every link of this host: pings inside and outside the mesh, small and large. Changes nothing. */
export async function findNetworkFaults(
  { mtuBytes = MTU_BYTES, progress, ...options }: FindFaultsOptions,
  signal?: AbortSignal,
): Promise<NetworkFault[]> {
  const status = await networkStatus(options, signal)
  const peers = newestPeers(status.peers)
  const trials: PeerTrial[] = []
  for (let at = 0; at < peers.length; at += TRIALS_AT_ONCE) {
    progress?.(`trying hosts, ${at} of ${peers.length} done`)
    const some = peers.slice(at, at + TRIALS_AT_ONCE)
    trials.push(
      ...(await Promise.all(some.map((one) => tryPeer(options.system, one, mtuBytes, signal)))),
    )
  }
  return faultsIn({ status, trials, mtuBytes, nowMs: Date.now() })
}

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
  const address = peer.endpoint?.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  if (address === undefined) return { peer, answersInside: false }
  return { peer, answersInside: false, answersOutside: await answers(system, address, 56, signal) }
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
