/**
 * flaps-client: the Machines API as a client uses it. Owns nothing but connections.
 * Reading order: answers.ts (what comes back), flaps-client.ts, machines-client.ts and those beside it
 * (a file a kind of things), errors.ts.
 */
export type { IpKind, IpPlace } from './addresses-client.ts'
export type {
  App,
  AppRelease,
  Certificate,
  CheckResult,
  ExecResult,
  ExitEvent,
  IpAssignment,
  KeptImage,
  Lease,
  LogLine,
  Machine,
  MachineConfig,
  MachineEvent,
  MachineMount,
  NetworkPolicy,
  NetworkPolicyRule,
  Region,
  ReleaseStatus,
  Secret,
  Volume,
  WireGuardPeer,
} from './answers.ts'
export type { Call } from './call.ts'
export type { ApiErrorCode } from './errors.ts'
export { ApiError } from './errors.ts'
export type { FlapsClientOptions } from './flaps-client.ts'
export { FlapsClient } from './flaps-client.ts'
export type { LaunchInput, MachinesClient, UpdateInput } from './machines-client.ts'
export type { Profile } from './profile.ts'
export { profileFile, readProfile, removeProfile, writeProfile } from './profile.ts'
export type { ReleasesClient } from './releases-client.ts'
export type { NewVolume, Snapshot, VolumeSettings, VolumesClient } from './volumes-client.ts'
