import { pollUntil } from '#base'
import { isAlive, type ProcessIdentity, signalProcess } from '#supervise'
import { Cgroup } from './cgroup/cgroup.ts'
import type { GuestFolder, GuestRecord } from './guest-folder.ts'
import type { RuntimeCall } from './runtime.ts'

const END_MS = 10_000

/**
 * Kills the guest if it runs, and removes its control groups; its folder is the caller's to remove, as the
 * last thing of it. May be repeated.
 *
 * @param kill what ends the process of the record
 */
export async function endGuest(
  folder: GuestFolder,
  call: RuntimeCall = {},
  kill: (process: ProcessIdentity, record: GuestRecord) => void = (process) =>
    void signalProcess(process, 'SIGKILL'),
): Promise<void> {
  const record = folder.read()
  const holder = record?.process
  if (record !== undefined && holder !== undefined && isAlive(holder)) {
    folder.write({ ...record, isKilled: true })
    kill(holder, record)
  }
  const cgroup = new Cgroup(folder.id)
  cgroup.thaw() // what stands still does not die
  await cgroup.remove(call)
  if (holder === undefined) return
  await pollUntil('the guest to end', () => !isAlive(holder), {
    ...{ deadlineMs: END_MS, intervalMs: 5 },
    ...call,
  })
}
