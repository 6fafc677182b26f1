/**
 * Keeps the daemons of freshly installed packages off: Debian starts and enables them at once,
 * and a routing daemon that comes up by itself is the last thing a server wants.
 *
 * `policy-rc.d` is Debian's hook for that (invoke-rc.d(8), deb-systemd-invoke(1p)). Ours refuses
 * the named services and hands every other question to the policy that was there before, so that
 * services which ran already are left alone. The file is also the journal: it names the services
 * that are still to be disabled, so that a set-up killed in the middle is put right by the next.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '#base'

export interface GuardOptions {
  /** Where `policy-rc.d` lives: /usr/sbin outside tests. */
  readonly folder: string
  /** Turns a service off for the next boot. It may not exist, for its installation failed. */
  readonly disable: (service: string) => Promise<void>
}

const MARK = '# godwit set-up keeps these services off:'

/** Runs `work` while none of `services` can be started; they stay disabled after it. */
export async function withoutStarting<T>(
  services: readonly string[],
  options: GuardOptions,
  work: () => Promise<T>,
): Promise<T> {
  await liftGuard(options)
  if (services.length > 0) raiseGuard(services, options)
  try {
    return await work()
  } finally {
    await liftGuard(options)
  }
}

/** Ends what an earlier set-up left behind, if it left anything. May run twice. */
export async function liftGuard({ folder, disable }: GuardOptions): Promise<void> {
  const { policy, before } = pathsIn(folder)
  const ours = guardedServices(readOrEmpty(policy))
  for (const service of ours ?? []) await disable(service)
  const gone = readOrEmpty(policy) === '' // killed between the two renames of raiseGuard
  if (existsSync(before) && (ours !== undefined || gone)) renameSync(before, policy)
  else if (ours !== undefined) rmSync(policy, { force: true })
}

function raiseGuard(services: readonly string[], { folder }: GuardOptions): void {
  const { policy, before } = pathsIn(folder)
  writeFileSync(`${policy}.new`, guardScript(services, before), { mode: 0o755 })
  if (existsSync(policy)) renameSync(policy, before)
  renameSync(`${policy}.new`, policy)
}

/** @returns the services that a policy of ours names; undefined when the policy is not ours. */
export function guardedServices(policy: string): string[] | undefined {
  const line = policy.split('\n').find((one) => one.startsWith(MARK))
  return line?.slice(MARK.length).trim().split(' ')
}

/** Exit 101: the action is forbidden. Source: invoke-rc.d(8) and policy-rc.d's README. */
export function guardScript(services: readonly string[], before: string): string {
  const patterns = services.flatMap((service) => [service, `${service}.service`]).join('|')
  return `#!/bin/sh
${MARK} ${services.join(' ')}
for word in "$@"; do
  case $word in ${patterns}) exit 101 ;; esac
done
if [ -x ${before} ]; then exec ${before} "$@"; fi
exit 0
`
}

function pathsIn(folder: string) {
  return {
    policy: join(folder, 'policy-rc.d'),
    before: join(folder, 'policy-rc.d.before-godwit'),
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
    return ''
  }
}
