import type { GuestExit } from '../model/guest-exit.ts'

/**
 * The `request` of an `exit` event. Both places: older clients read the first without looking whether it is
 * there, newer ones prefer the second.
 */
export function exitRequest(
  exit: GuestExit | undefined,
  about: { requested: boolean; restarting: boolean; restartCount: number },
): unknown {
  const exitEvent = {
    exit_code: exit?.exitCode ?? 0,
    guest_exit_code: exit?.guestExitCode ?? 0,
    guest_signal: exit?.guestSignal ?? -1,
    signal: exit?.signal ?? -1,
    oom_killed: exit?.isOutOfMemory ?? false,
    requested_stop: about.requested,
    restarting: about.restarting,
    ...(exit === undefined ? {} : { exited_at: new Date(exit.exitedAtMs).toISOString() }),
    ...(exit?.error === undefined ? {} : { error: exit.error }),
  }
  return {
    exit_event: exitEvent,
    MonitorEvent: { exit_event: exitEvent },
    restart_count: about.restartCount,
  }
}
