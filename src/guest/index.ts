/**
 * guest: machines from boot to end. Owns the runtimes (what a host makes a machine with) and the channel
 * to the init of each machine; the program itself is native/init, and native/init/PROTOCOL.md what both
 * speak.
 * Reading order: guest-spec.ts, runtime.ts (what a runtime promises; contract.ts shows it), guest-folder.ts,
 * guest-state.ts and end-guest.ts (what all runtimes do alike), runc/,
 * qemu/ (command-line.ts, launch.ts, qemu-guest.ts, qemu-runtime.ts), template/, then agent/frame.ts, agent/record.ts, agent/session.ts (the core),
 * agent/agent-link.ts (its shell), agent/agent.ts (what a machine can be asked).
 */
export type { FileOptions, GuestProcess, StopOptions } from './agent/agent.ts'
export { Agent, connectAgent } from './agent/agent.ts'
export type { AgentCall } from './agent/agent-link.ts'
export type { Ending, EntrypointState, GuestStats, Welcome } from './agent/answers.ts'
export { exitCodeOf } from './agent/answers.ts'
export { AgentError } from './agent/errors.ts'
export type {
  ExecConfig,
  GuestConfig,
  GuestUser,
  GuestVolume,
  TerminalSize,
} from './agent/machine-config.ts'
export { GuestError } from './errors.ts'
export {
  type FirecrackerOptions,
  FirecrackerRuntime,
} from './firecracker/firecracker-runtime.ts'
export { withDevices } from './guest-devices.ts'
export type { CpuSpec, DiskMount, GuestDisk, GuestNetwork, GuestSpec } from './guest-spec.ts'
export { openRuntime, runtimeKinds } from './open-runtime.ts'
export { findBootFiles } from './qemu/boot-files.ts'
export type { Accelerator } from './qemu/command-line.ts'
export type { JailFiles } from './qemu/jail-root.ts'
export { type QemuOptions, QemuRuntime, type StartCounts } from './qemu/qemu-runtime.ts'
export { baselineOf, burstOf, CpuBalance, type CpuBandwidth } from './quota.ts'
export { type RuncOptions, RuncRuntime } from './runc/runc-runtime.ts'
export type {
  Guest,
  GuestEnd,
  GuestListing,
  GuestMemory,
  GuestState,
  GuestUsage,
  Runtime,
  RuntimeCall,
  RuntimeKind,
} from './runtime.ts'
