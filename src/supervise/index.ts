/**
 * supervise: processes that are kept running, and processes told apart from others of the same pid.
 * Owns the children it started. Reading order: lifecycle.ts (all decisions, no I/O),
 * supervised-process.ts (its shell), process-identity.ts, pid-file.ts, reap.ts.
 */
export type { SuperviseErrorCode } from './errors.ts'
export { SuperviseError } from './errors.ts'
export type { LifecycleState, Policy } from './lifecycle.ts'
export { DEFAULT_POLICY } from './lifecycle.ts'
export { endOrphan, readPidFile, removePidFile, writePidFile } from './pid-file.ts'
export type { ProcessIdentity } from './process-identity.ts'
export { identify, isAlive, signalPid, signalProcess } from './process-identity.ts'
export type { SuperviseOptions } from './supervised-process.ts'
export { SupervisedProcess, stopAll } from './supervised-process.ts'
