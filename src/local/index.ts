/**
 * local: machines of this computer, without a daemon. Owns a folder of records, and for each machine that
 * runs a process that keeps it. Reading order: machine-record.ts (what is remembered), local-machines.ts
 * (what can be asked), prepare-machine.ts, keeper/keeper.ts (a machine's life), reconcile.ts (what killed
 * processes leave), network/local-network.ts.
 */
export type { LocalErrorCode } from './errors.ts'
export { LocalError } from './errors.ts'
export { followLog } from './keeper/follow-log.ts'
export type { KeeperCall } from './keeper/keeper-client.ts'
export type { LogLine, LogStream } from './keeper/log-file.ts'
export { readLog } from './keeper/log-file.ts'
export type { KeeperRequest } from './keeper/wire.ts'
export { encodeFrame, encodeJson, FrameKind } from './keeper/wire.ts'
export { DEFAULT_ROOT } from './local-folders.ts'
export type { RunOptions } from './local-machines.ts'
export { LocalMachines } from './local-machines.ts'
export type { LocalExit, LocalRecord, PublishedPort } from './machine-record.ts'
export type { MachineRequest, PreparationView, PullPolicy } from './machine-request.ts'
export { machineAddressOf } from './network/nat-networks.ts'
