/**
 * guest: machines from boot to end. Owns the channel to the init of each; the program itself is
 * native/init, and native/init/PROTOCOL.md what both speak.
 * Reading order: agent/frame.ts, agent/record.ts, agent/session.ts (the core), agent/agent.ts.
 */
export type {
  AgentCall,
  FileOptions,
  GuestProcess,
  StopOptions,
} from './agent/agent.ts'
export { Agent, connectAgent } from './agent/agent.ts'
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
