/** People's devices at this host's gateway, as WireGuard tells of them. */
import { PEER_DEVICE } from '../gateway/peer-gateway.ts'
import type { MeshPeerState } from '../mesh/wireguard-dump.ts'
import type { Counters } from '../programs/map-layout.ts'
import { formatSixPn, PEER_LOW, parseSixPn } from '../six-pn-address.ts'
import type { System } from '../system.ts'
import { readWireGuardDevice } from '../wireguard/wireguard-device.ts'

export interface DeviceStatus {
  /** Its own address in its network. */
  readonly peerIp: string
  readonly networkId: number
  readonly publicKey: string
  /** How it was heard last; absent: never. */
  readonly transport?: 'udp' | 'web_socket'
  /** Where it was heard from, by UDP. */
  readonly endpoint?: string
  /** Since the epoch; absent: never. */
  readonly handshakeMs?: number
  readonly receivedBytes: number
  readonly sentBytes: number
}

export interface GatewayStatus {
  readonly device: string
  readonly listenPort: number
  readonly isGuarded: boolean
  readonly counters: Counters
  readonly devices: readonly DeviceStatus[]
}

/** @returns undefined: this host is no gateway, or its device is gone */
export async function readGatewayStatus(
  system: System,
  around: { readonly isGuarded: boolean; readonly counters: Counters },
  signal?: AbortSignal,
): Promise<GatewayStatus | undefined> {
  const state = await readWireGuardDevice(system, PEER_DEVICE, signal)
  if (state === undefined) return undefined
  const devices = state.peers.flatMap((peer) => deviceOf(peer) ?? [])
  return { device: PEER_DEVICE, listenPort: state.listenPort, ...around, devices }
}

/** The WebSocket's end of this host hands datagrams on from here (web-socket-end.ts). */
const OWN_END = '127.0.0.1:'

/** Undefined: a host that tried whether the gateway answers. */
export function deviceOf(peer: MeshPeerState): DeviceStatus | undefined {
  const { publicKey, endpoint, handshakeMs, receivedBytes, sentBytes } = peer
  const [prefix] = peer.allowedIps
  if (prefix === undefined) return undefined
  const address = parseSixPn(prefix.split('/')[0] ?? '')
  const isWebSocket = endpoint?.startsWith(OWN_END) === true
  return {
    peerIp: formatSixPn({ ...address, low: address.low + PEER_LOW }),
    networkId: address.network,
    publicKey,
    ...(endpoint === undefined ? {} : { transport: isWebSocket ? 'web_socket' : 'udp' }),
    ...(endpoint === undefined || isWebSocket ? {} : { endpoint }),
    ...(handshakeMs === 0 ? {} : { handshakeMs }),
    ...{ receivedBytes, sentBytes },
  }
}
