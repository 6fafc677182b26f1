/**
 * host: all daemons of one host, kept running. Owns no truth; it starts, watches and stops.
 * Reading order: part.ts, part-order.ts, host-supervisor.ts, host-socket.ts; then host-config.ts (one file a
 * host), parts/all-parts.ts (the daemons that follow from it), run-host.ts; found-cluster.ts and cluster-folder.ts make
 * the files of a new cluster, join/ what makes a server a host of one that runs, systemd-unit.ts what starts a host at boot;
 * upgrade-host.ts, reach-host.ts and evacuate-host.ts are what operators do with hosts that run.
 */

export { clusterTrust } from './certificates/publish-trust.ts'
export type { Renewed } from './certificates/renew-certificates.ts'
export type { AuthorityState, AuthorityStep, FolderAuthorities } from './change-authority.ts'
export { changeAuthority, folderAuthorities } from './change-authority.ts'
export type { FoundedCluster } from './cluster-folder.ts'
export { foundHosts, foundInFolder } from './cluster-folder.ts'
export type { ClusterHost, ClusterRegion } from './cluster-rows.ts'
export { clusterHosts, clusterRegions } from './cluster-rows.ts'
export type { HostErrorCode } from './errors.ts'
export { HostError } from './errors.ts'
export type { EvacuateOptions } from './evacuate-host.ts'
export { evacuateHost, machinesLeft } from './evacuate-host.ts'
export type { FoundedHost, FoundOptions, PlannedHost, StandingCluster } from './found-cluster.ts'
export { foundCluster } from './found-cluster.ts'
export type { HostConfig, HostMember, HostRole } from './host-config.ts'
export { hostSocketOf, loadHostConfig, loadHostSettings } from './host-config.ts'
export type { PartVerb } from './host-socket.ts'
export { changePart, hostStatus, renewHost, serveHostSocket } from './host-socket.ts'
export type { HostSupervisorOptions, PartStatus } from './host-supervisor.ts'
export { HostSupervisor } from './host-supervisor.ts'
export { gatewayPlaces, requireJoiningKey } from './join/gateway-places.ts'
export type { Joined, JoinOptions } from './join/join-cluster.ts'
export { joinCluster } from './join/join-cluster.ts'
export { caFingerprint, formatJoinToken, parseJoinToken } from './join/join-token.ts'
export { removeHost } from './join/remove-host.ts'
export type { Part, PartProbe } from './part.ts'
export { partsOf } from './parts/all-parts.ts'
export { AGENT_URL } from './parts/corrosion-part.ts'
export type { ReachedHost } from './reach-host.ts'
export { reachHost } from './reach-host.ts'
export type { RunningHost } from './run-host.ts'
export { runHost } from './run-host.ts'
export { systemdUnit, UNIT_NAME } from './systemd-unit.ts'
export type { UpgradedPart, UpgradeOptions } from './upgrade-host.ts'
export { upgradeHost } from './upgrade-host.ts'
