/**
 * flaps-client: the Machines API as a client uses it. Owns nothing but connections.
 * Reading order: answers.ts (what comes back), flaps-client.ts, machines-client.ts, volumes-client.ts,
 * errors.ts.
 */
export type {
  App,
  AppRelease,
  Certificate,
  CheckResult,
  ExecResult,
  ExitEvent,
  IpAssignment,
  Lease,
  LogLine,
  Machine,
  MachineConfig,
  MachineEvent,
  MachineMount,
  Region,
  ReleaseStatus,
  Secret,
  Volume,
  WireGuardPeer,
} from './answers.ts'
export type { ApiErrorCode } from './errors.ts'
export { ApiError } from './errors.ts'
export type { Call, FlapsClientOptions, IpKind, IpPlace, NewVolume } from './flaps-client.ts'
export { FlapsClient } from './flaps-client.ts'
export type { LaunchInput, UpdateInput } from './machines-client.ts'
export { MachinesClient } from './machines-client.ts'
export type { Profile } from './profile.ts'
export { profileFile, readProfile, removeProfile, writeProfile } from './profile.ts'
export type { Snapshot, VolumeSettings } from './volumes-client.ts'
export { VolumesClient } from './volumes-client.ts'
