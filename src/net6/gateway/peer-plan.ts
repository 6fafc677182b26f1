/** What makes a gateway's device agree with the peers that it is to have. No I/O. */
import type { MeshDeviceState } from '../mesh/wireguard-dump.ts'
import { addressEntry, type Entry } from '../programs/map-layout.ts'
import { PEER_MACHINE } from '../six-pn-address.ts'
import type { GatewayPeer } from './peer-rows.ts'

/** Marks the routes to peers, so that they are found again. */
export const PEER_ROUTE_PROTOCOL = '185'

/**
 * Words for one `wg set DEVICE`; peers that are right are not named. None: empty.
 *
 * @param hosts keys of the cluster's hosts, which may try whether the device answers, and send nothing
 */
export function peerWords(
  device: MeshDeviceState,
  wanted: readonly GatewayPeer[],
  hosts: readonly string[] = [],
): string[] {
  const present = new Map(device.peers.map((peer) => [peer.publicKey, peer.allowedIps.join()]))
  const ofPeople = new Set(wanted.map(({ publicKey }) => publicKey))
  const ofHosts = hosts.filter((key) => !ofPeople.has(key))
  const keys = new Set([...ofPeople, ...ofHosts])
  const removals = [...present.keys()]
    .filter((key) => !keys.has(key))
    .flatMap((key) => ['peer', key, 'remove'])
  const additions = wanted
    .filter(({ publicKey, allowedIp }) => present.get(publicKey) !== allowedIp)
    .flatMap(({ publicKey, allowedIp }) => ['peer', publicKey, 'allowed-ips', allowedIp])
  const trials = ofHosts
    .filter((key) => present.get(key) !== '')
    .flatMap((key) => ['peer', key, 'allowed-ips', ''])
  return [...removals, ...additions, ...trials]
}

/** Lines of `ip -batch`: what the host itself answers (DNS, the API) finds its way by them. */
export function routeLines(
  device: string,
  present: ReadonlySet<string>,
  wanted: readonly GatewayPeer[],
): string[] {
  const prefixes = new Set(wanted.map(({ allowedIp }) => allowedIp))
  const route = (verb: string, prefix: string) =>
    `route ${verb} ${prefix} dev ${device} proto ${PEER_ROUTE_PROTOCOL}`
  return [
    ...[...present].filter((one) => !prefixes.has(one)).map((one) => route('delete', one)),
    ...[...prefixes].filter((one) => !present.has(one)).map((one) => route('replace', one)),
  ]
}

/** Where machines' packets to the peers of a network go. */
export const networkEntry = (network: number, gateway: number, ifindex: number): Entry =>
  addressEntry(ifindex, { network, host: gateway, machine: PEER_MACHINE, low: 0 })
