/** Says what is wrong with gateways for people's devices, from what was seen. No I/O. */
import type { KnownGateway } from '../gateway/known-gateways.ts'
import { PEER_DEVICE } from '../gateway/peer-gateway.ts'
import { SILENT_MS } from '../mesh/mesh-plan.ts'
import type { DeviceStatus } from './device-status.ts'
import type { NetworkFault } from './network-fault.ts'

/** What was tried of a gateway, from here. */
export interface GatewayTrial {
  readonly gateway: KnownGateway
  readonly isOwn: boolean
  /** WireGuard shook hands with this host. */
  readonly answersHandshake: boolean
  /** Its address answers pings. Absent: it was not asked. */
  readonly answersOutside?: boolean
}

/** What was tried of a device at this host's gateway: one that was heard by UDP, and is silent now. */
export interface DeviceTrial {
  readonly device: DeviceStatus
  readonly answersOutside: boolean
}

export interface GatewayObservation {
  /** The device of this host's gateway is there. */
  readonly hasDevice: boolean
  readonly gateways: readonly GatewayTrial[]
  readonly devices: readonly DeviceTrial[]
  readonly nowMs: number
}

export function gatewayFaultsIn(seen: GatewayObservation): NetworkFault[] {
  const { hasDevice, gateways, devices, nowMs } = seen
  const own = gateways.find(({ isOwn }) => isOwn)
  return [
    ...(own === undefined || hasDevice ? [] : [deviceMissing(own)]),
    ...gateways
      .filter(({ isOwn }) => hasDevice || !isOwn)
      .flatMap((trial) => gatewayFault(trial) ?? []),
    ...devices.flatMap((trial) => deviceFault(trial, nowMs) ?? []),
  ]
}

const deviceMissing = ({ gateway }: GatewayTrial): NetworkFault => ({
  kind: 'gateway_missing',
  subject: PEER_DEVICE,
  what: `nobody answers people's devices at ${gateway.endpoint}: the WireGuard device is gone`,
  fix: 'start the daemon of the network, and look for who removes interfaces',
})

/** A host that is away the links of the mesh tell of. */
function gatewayFault(trial: GatewayTrial): NetworkFault | undefined {
  const { gateway, isOwn, answersHandshake, answersOutside } = trial
  if (answersHandshake || answersOutside === false) return undefined
  return {
    kind: 'port_blocked',
    subject: `gateway ${gateway.hostId}`,
    what: isOwn
      ? `this host is there, but WireGuard at ${gateway.endpoint} does not answer: people's devices do not get in by UDP`
      : `the host answers, but WireGuard for people's devices at ${gateway.endpoint} does not: they get in by WebSocket alone`,
    fix: `let UDP to and from ${gateway.endpoint} through all firewalls; if it is open, the gateway's daemon does not run or has another key than its row in \`wireguard_gateways\``,
  }
}

/** A computer that is closed is silent, too, but then its address rarely answers: so no more than a notice. */
function deviceFault(
  { device: { peerIp, endpoint = 'unknown', handshakeMs }, answersOutside }: DeviceTrial,
  nowMs: number,
): NetworkFault | undefined {
  if (!answersOutside || handshakeMs === undefined || nowMs - handshakeMs <= SILENT_MS) {
    return undefined
  }
  return {
    kind: 'peer_stale',
    severity: 'notice',
    subject: peerIp,
    what: `this device's address answers (${endpoint}), but its last handshake is ${Math.round((nowMs - handshakeMs) / 1000)} s ago`,
    fix: 'nothing, if WireGuard is off there. Else its key or port has changed, or a firewall forgot the flow: start it again there, or make the peer anew (godwit wireguard)',
  }
}
