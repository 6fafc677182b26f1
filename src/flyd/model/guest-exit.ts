/** How a guest ended. */
export interface GuestExit {
  /** Of the entrypoint; 128 + the signal that ended it. */
  readonly exitCode: number
  /** The signal that ended the entrypoint; -1: none. */
  readonly signal: number
  /** Of init or the machine itself. */
  readonly guestExitCode: number
  /** -1: none. */
  readonly guestSignal: number
  readonly isOutOfMemory: boolean
  /** Wall clock, milliseconds. */
  readonly exitedAtMs: number
  /** What the runtime last said, for a crash. */
  readonly error?: string
}
