import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from './command.ts'
import { findCommand } from './packages.ts'

const DEADLINE_MS = 30_000

/**
 * Turns a service off for the next boot, under systemd and under System V's init. Does nothing to
 * a service that is off or was never installed. It does not stop one that runs.
 *
 * @param etc `/etc` outside tests.
 */
export async function disableService(service: string, etc: string, signal: AbortSignal) {
  const options = { signal, deadlineMs: DEADLINE_MS }
  removeWants(`${service}.service`, join(etc, 'systemd', 'system'))
  if (existsSync(join(etc, 'init.d', service)) && findCommand('update-rc.d') !== undefined) {
    await runCommand('update-rc.d', [service, 'disable'], options)
  }
  if (existsSync('/run/systemd/system')) {
    await runCommand('systemctl', ['daemon-reload'], options)
  }
}

/**
 * What `systemctl disable` does: the links in `<target>.wants/` go. By hand, because packages make
 * them on systems, too, that have no systemctl yet. Source: systemd.unit(5), systemctl(1).
 */
function removeWants(unit: string, folder: string): void {
  if (!existsSync(folder)) return
  for (const target of readdirSync(folder).filter((name) => name.endsWith('.wants'))) {
    rmSync(join(folder, target, unit), { force: true })
  }
}
