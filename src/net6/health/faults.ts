/** Says what is wrong from what was seen. No I/O: find-faults.ts looks. */
import { SILENT_MS } from '../mesh/mesh-plan.ts'
import { type DeviceTrial, type GatewayTrial, gatewayFaultsIn } from './gateway-faults.ts'
import type { NetworkFault } from './network-fault.ts'
import type { NetworkStatus, PeerStatus } from './network-status.ts'

/** What was tried of a peer, from here. */
export interface PeerTrial {
  readonly peer: PeerStatus
  /** Its endpoint's address answers pings outside the mesh. Absent: no endpoint is known. */
  readonly answersOutside?: boolean
  /** Its backhaul address answers a small ping through the mesh. */
  readonly answersInside: boolean
  /** The largest packet that passes through the mesh whole; absent when none was sent. */
  readonly largestBytes?: number
}

export interface Observation {
  readonly status: NetworkStatus
  readonly trials: readonly PeerTrial[]
  /** Gateways for people's devices, and those devices. */
  readonly gateways: readonly GatewayTrial[]
  readonly devices: readonly DeviceTrial[]
  /** What the mesh is made for. */
  readonly mtuBytes: number
  readonly nowMs: number
}

export function faultsIn({
  status,
  trials,
  mtuBytes,
  nowMs,
  ...people
}: Observation): NetworkFault[] {
  if (!status.isSetUp) {
    return [
      {
        kind: 'not_set_up',
        subject: 'this host',
        what: 'the network programs are not loaded',
        fix: 'start the host: its daemon makes the network',
      },
    ]
  }
  return [
    ...(status.hasFirewall ? [] : [FIREWALL_MISSING]),
    ...status.machines.flatMap(({ id, isUp, isGuarded, device }) => [
      ...(isUp ? [] : [machineDown(id, device)]),
      ...(isUp && !isGuarded ? [unguarded(device)] : []),
    ]),
    ...[...status.mesh, ...(status.gateway === undefined ? [] : [status.gateway])]
      .filter(({ isGuarded }) => !isGuarded)
      .map(({ device }) => unguarded(device)),
    ...trials.flatMap((trial) => peerFault(trial, mtuBytes, nowMs) ?? []),
    ...gatewayFaultsIn({ ...people, hasDevice: status.gateway !== undefined, nowMs }),
  ]
}

const FIREWALL_MISSING: NetworkFault = {
  kind: 'firewall_missing',
  subject: 'this host',
  what: 'the firewall table inet godwit_net6 is gone: machines do not reach the internet',
  fix: 'restart the daemon, and look for who flushes the rules',
}

const machineDown = (id: string, device: string): NetworkFault => ({
  kind: 'machine_link_down',
  subject: id,
  what: `its link ${device} is not up`,
  fix: 'restart the machine',
})

const unguarded = (device: string): NetworkFault => ({
  kind: 'program_missing',
  subject: device,
  what: 'no program decides at this interface',
  fix: 'restart the daemon, and look for who removes tc filters',
})

/** The first thing that is wrong: what lies behind it cannot be judged. */
function peerFault(
  { peer, answersOutside, answersInside, largestBytes }: PeerTrial,
  mtuBytes: number,
  nowMs: number,
): NetworkFault | undefined {
  const { backhaulIp: subject, endpoint = 'unknown', handshakeMs } = peer
  if (answersInside) {
    if (largestBytes === undefined || largestBytes >= mtuBytes) return undefined
    return {
      kind: 'mtu_hole',
      subject,
      what: `packets above ${largestBytes} bytes are lost on the way (${mtuBytes} should pass)`,
      fix: `the way to ${endpoint} takes too small packets: raise its MTU to ${mtuBytes + 80}, or set mtu_bytes to ${largestBytes} on all hosts`,
    }
  }
  if (answersOutside === false) {
    return {
      kind: 'link_broken',
      subject,
      what: `${endpoint} answers neither inside nor outside the mesh`,
      fix: 'the host is down or cut off: see its provider, and traceroute to it',
    }
  }
  if (handshakeMs === undefined) {
    return {
      kind: 'port_blocked',
      subject,
      what: `the host answers, but no handshake with ${endpoint} ever came about`,
      fix: `let UDP to and from ${endpoint} through all firewalls; both hosts' rows must show their present keys`,
    }
  }
  const agoS = Math.round((nowMs - handshakeMs) / 1000)
  if (nowMs - handshakeMs > SILENT_MS) {
    return {
      kind: 'peer_stale',
      subject,
      what: `the host answers, but its last handshake is ${agoS} s ago`,
      fix: `its key or port has changed, or a firewall forgot the flow: compare its row in \`hosts\` with ${endpoint}`,
    }
  }
  return {
    kind: 'port_blocked',
    subject,
    what: `packets to ${endpoint} are lost, although a handshake came about ${agoS} s ago`,
    fix: `let UDP to and from ${endpoint} through all firewalls`,
  }
}
