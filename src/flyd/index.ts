/**
 * flyd: the machines and volumes of this host. Owns the truth about them: a log of state machines' steps,
 * from which they go on after a crash at any point. Reading order: host.ts (what others ask of a host),
 * machine-json.ts, model/ (what machines and volumes are; machine-view.ts is what others read),
 * effects/machine-effects.ts (what acts on the world).
 */

export { SSH_AUTHORITY_PATH } from './access/gateway-authorities.ts'
export { ClusterKey } from './api/cluster-key.ts'
export type { HostApiErrorCode } from './api/errors.ts'
export { HostApiError } from './api/errors.ts'
export { SECRETS_PORT } from './api/gateway-port.ts'
export type { HostClientsOptions } from './api/host-clients.ts'
export { HOST_API_PORT, HostClients } from './api/host-clients.ts'
export type { HostServer, HostServerOptions } from './api/host-server.ts'
export { serveHost } from './api/host-server.ts'
export { sealAnswer } from './api/sealed-answer.ts'
export { answerPath, signedHeaders } from './api/signed-post.ts'
export { askFlyd } from './daemon/admin-client.ts'
export type { FlydConfig } from './daemon/flyd-config.ts'
export { loadFlydConfig } from './daemon/flyd-config.ts'
export { IMAGES_REGISTRY } from './daemon/open-effects.ts'
export type { OpenFlydOptions, RunningFlyd } from './daemon/open-flyd.ts'
export { openFlyd } from './daemon/open-flyd.ts'
export { TrialHost } from './daemon/trial-host.fixture.ts'
export { makeBusyboxLayout } from './daemon/trial-image.ts'
export { EffectError } from './effect-error.ts'
export type { GatewaySecretsOptions } from './effects/gateway-secrets.ts'
export { gatewaySecrets, SECRETS_PATH } from './effects/gateway-secrets.ts'
export type {
  GuestEffects,
  GuestPresence,
  MachineEffects,
  VolumeEffects,
} from './effects/machine-effects.ts'
export { Engine } from './engine/engine.ts'
export { LmdbStore } from './engine/lmdb-store.ts'
export type { Entry, Outcome, Run } from './engine/run.ts'
export type { RunFilter, RunReader } from './engine/run-reading.ts'
export { runReader } from './engine/run-reading.ts'
export type { Store, Write } from './engine/store.ts'
export type { FlydErrorCode } from './errors.ts'
export { FlydError, machineNotFound, refuse, volumeNotFound } from './errors.ts'
export { gatewayPlaces, PLACES_PATH } from './evacuation/gateway-places.ts'
// For tests of whoever stands above: a whole host without guests, disks or clock of its own.
export { LogStore } from './fixture/log-store.ts'
export { SimulatedEffects } from './fixture/simulated-effects.ts'
export { SimulatedHardware } from './fixture/simulated-hardware.ts'
export { guestOf, presetOf } from './guest-size.ts'
export type {
  ExecOptions,
  ExecResult,
  HostCreate,
  HostCreateVolume,
  HostMigration,
  HostUpdate,
  HostVolumes,
  LeaseOptions,
  MachineHost,
  MachineMemory,
  MetricsAnswer,
  MetricsQuestion,
  StopOptions,
  VolumeSettings,
  WaitOptions,
  WaitResult,
} from './host.ts'
export type { HostLoad, HostOperations, HostReport } from './host-operations.ts'
export type { LocalHostOptions } from './local-host.ts'
export { LocalHost } from './local-host.ts'
export { checkConfig } from './machine/config-checks.ts'
export type { ArriveOptions, MigrationControl } from './machine/migration-control.ts'
export { MACHINE_API_PATH } from './machine-api/gateway-machine-api.ts'
export type { MachineAnswer } from './machine-api/serve-api-socket.ts'
export type { HostStatus, MachineConfigJson, MachineJson, VolumeJson } from './machine-json.ts'
export { timeText } from './machine-json.ts'
export type { GuestExit } from './model/guest-exit.ts'
export type { ImageRefJson } from './model/image-ref.ts'
export type { LeaseJson } from './model/lease.ts'
export type { MachineDescription } from './model/machine-description.ts'
export type { MachineSeen } from './model/machine-seen.ts'
export type { MachineState } from './model/machine-state.ts'
export { MACHINE_STATES } from './model/machine-state.ts'
export type { MachineNetwork, MachineSubject } from './model/machine-subject.ts'
export type { Change, MachineView } from './model/machine-view.ts'
export type { VolumeSeen, VolumeState } from './model/volume-seen.ts'
export type { VolumeSubject } from './model/volume-subject.ts'
export type { WatchedMachines } from './standby/standby.ts'
