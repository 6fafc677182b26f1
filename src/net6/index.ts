/**
 * net6: the private network of machines (6PN). Owns addresses and links of this host: each machine's
 * namespace, link and addresses, the eBPF programs that keep machines apart, and the WireGuard mesh to other
 * hosts. docs/network.md explains it with a picture; native/bpf has the programs.
 * Reading order: six-pn-address.ts, allocation.ts, machine/machine-network.ts (the port),
 * machine/machine-networks.ts, programs/, host-network.ts, mesh/mesh-plan.ts, mesh/mesh.ts, daemon/open-net.ts (the
 * process of a host), health/, anycast/.
 */
export { chooseHostField, drawNetworkId, type HostClaim } from './allocation.ts'
export { Announcer, type AnnouncerOptions, type AnycastStatus } from './anycast/announcer.ts'
export type { AnnouncerPhase } from './anycast/announcer-state.ts'
export {
  type AnycastPrefix,
  anycastPrefixes,
  originatedPrefixes,
  strayAddresses,
} from './anycast/anycast-prefixes.ts'
export { bgpSchema } from './anycast/bgp-config.ts'
export { loadNetConfig, type NetConfig } from './daemon/net-config.ts'
export { commandNet, type NetCommand } from './daemon/net-servers.ts'
export { openNet, type RunningNet } from './daemon/open-net.ts'
export { Net6Error } from './errors.ts'
export { PEER_PORT } from './gateway/peer-gateway.ts'
export type { DeviceStatus, GatewayStatus } from './health/device-status.ts'
export { findNetworkFaults } from './health/find-faults.ts'
export type { FaultKind, NetworkFault } from './health/network-fault.ts'
export {
  type MachineStatus,
  type NetworkStatus,
  networkStatus,
  type PeerStatus,
  STATE_FOLDER,
  type StatusOptions,
} from './health/network-status.ts'
export {
  DENIED_DESTINATIONS,
  type HostNetworkOptions,
  openHostNetwork,
  PLATFORM_SERVICES,
  removeHostNetwork,
  setFlycast,
} from './host-network.ts'
export { ensureHostField, readHostField } from './host-number.ts'
export { machineOfDevice } from './machine/link-names.ts'
export type {
  MachineNetwork,
  MachineNetworkSpec,
  MachineNetworkState,
} from './machine/machine-network.ts'
export {
  MachineNetworks,
  type MachineNetworksOptions,
  MTU_BYTES,
} from './machine/machine-networks.ts'
export { GLOBAL_SERVICES_MASK, globalServicesIpv4 } from './machine/private-ipv4.ts'
export type { HostRow } from './mesh/host-rows.ts'
export { MESH_PORT, Mesh, type MeshOptions } from './mesh/mesh.ts'
export { generateMeshKey } from './mesh/mesh-keys.ts'
export type { MeshDeviceState, MeshPeerState } from './mesh/wireguard-dump.ts'
export {
  gossipAddressOf,
  hostFieldMoved,
  MESH,
  type OwnAddress,
  type OwnAddressOptions,
  ownAddress,
} from './mesh-address.ts'
export { type Endpoint, printSource, readSource } from './platform/carried-source.ts'
export {
  GATEWAY_API_PORT,
  GATEWAY_LOGS_PORT,
  PLATFORM_LOGS_PORT,
} from './platform/platform-relay.ts'
export { type RelayLimitSizes, RelayLimits } from './platform/relay-limits.ts'
export { DROP_MEANINGS, DROP_REASONS, type DropReason, type Drops } from './programs/drop-reason.ts'
export type { Counters, DestinationRule, PlatformService } from './programs/map-layout.ts'
export { Programs, type ProgramsOptions } from './programs/programs.ts'
export { POLICY_PORTS_MAX, type PolicyPort, type TrafficPolicy } from './programs/traffic-policy.ts'
export {
  backhaulAddress,
  checkNetworkId,
  flycastAddress,
  formatSixPn,
  hostField,
  machinePrefix,
  meshPrefix,
  networkPlatformAddress,
  networkPrefix,
  PLATFORM_ADDRESS,
  parseMeshPrefix,
  parseSixPn,
  peerAddress,
  type SixPnAddress,
} from './six-pn-address.ts'
export { listenForSsh } from './ssh-end/ssh-listener.ts'
export { openSystem, type System } from './system.ts'
export { enterOwnHost } from './trial/own-host.ts'
export * as trialPackets from './trial/packets.ts'
export { trialFrameSender, trialHostDaemon } from './trial/programs.ts'
