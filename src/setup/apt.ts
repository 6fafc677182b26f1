import type { Clock, Random } from '#base'
import { type CommandResult, lastLine, mustRun, runCommand } from './command.ts'
import { disableService } from './disable-service.ts'
import { SetupError } from './errors.ts'
import type { Plan } from './plan.ts'
import type { Report } from './report.ts'
import { type GuardOptions, withoutStarting } from './service-guard.ts'

export interface Apt {
  readonly clock: Clock
  readonly random: Random
  readonly report: Report
  readonly signal: AbortSignal
}

const INSTALL_DEADLINE_MS = 1_800_000
const UPDATE_DEADLINE_MS = 300_000
/** How long another apt, such as unattended-upgrades, may keep us waiting in all. */
const LOCK_WAIT_MS = 600_000
const LOCK_BACKOFF_BASE_MS = 500
const LOCK_BACKOFF_CAP_MS = 10_000

/**
 * Installs what the plan names, without its daemons. May run twice, and after a `kill -9`.
 *
 * @throws SetupError setup.apt_failed, setup.apt_locked, setup.command_late.
 */
export async function installPackages(plan: Plan, apt: Apt): Promise<void> {
  const packages = [...plan.install, ...plan.reinstall]
  const services = packages.flatMap((one) => one.services ?? [])
  await withoutStarting(services, guardOf(apt), async () => {
    mustSucceed(await waitForLock(apt, 'dpkg', ['--configure', '-a'])) // after a kill; else nothing
    if (plan.install.length > 0) await install(apt, namesOf(plan.install), [])
    if (plan.reinstall.length > 0) await install(apt, namesOf(plan.reinstall), ['--reinstall'])
  })
}

/** Fetches fresh package lists. @throws SetupError setup.apt_failed, setup.apt_locked. */
export async function updateLists(apt: Apt): Promise<void> {
  await apt.report.step(
    'fetching the package lists',
    () => 'package lists fetched',
    async () => {
      const retried = ['--option', 'Acquire::Retries=3', '--error-on=any']
      mustSucceed(await waitForLock(apt, 'apt-get', ['update', ...retried], UPDATE_DEADLINE_MS))
    },
  )
}

/** How `withoutStarting` and `liftGuard` reach this machine's services. */
export const guardOf = ({ signal }: Pick<Apt, 'signal'>): GuardOptions => ({
  folder: '/usr/sbin',
  disable: (service) => disableService(service, '/etc', signal),
})

const namesOf = (packages: Plan['install']) => packages.map(({ name }) => name)

/** A first failure that fresh lists can cure gets them, and a second try. */
async function install(apt: Apt, names: readonly string[], extra: readonly string[]) {
  const args = [
    ...['install', '--yes', '--quiet', '--no-install-recommends', ...extra],
    ...['--option', 'Acquire::Retries=3', '--option', 'Dpkg::Options::=--force-confold'],
    ...names,
  ]
  const first = await waitForLock(apt, 'apt-get', args)
  if (first.exitCode === 0) return
  if (!wantsFreshLists(first)) return mustSucceed(first)
  await updateLists(apt)
  mustSucceed(await waitForLock(apt, 'apt-get', args))
}

/** The lists are absent (`Unable to locate`) or older than the mirror (404). */
export function wantsFreshLists({ stdout, stderr }: Omit<CommandResult, 'exitCode'>): boolean {
  const stale =
    /Unable to locate package|has no installation candidate|404 {2}Not Found|apt-get update|Unable to fetch some archives|Unable to correct problems/
  return stale.test(stderr) || stale.test(stdout)
}

/** Another apt or dpkg is at work. */
export function isLocked({ stderr }: Pick<CommandResult, 'stderr'>): boolean {
  return /Could not get lock|Unable to acquire the dpkg|Unable to lock|locked by another process/.test(
    stderr,
  )
}

/**
 * Runs apt or dpkg, again and again while another one holds its lock. Full jitter between tries.
 *
 * @throws SetupError setup.apt_locked once LOCK_WAIT_MS have passed.
 */
async function waitForLock(
  { clock, random, report, signal }: Apt,
  command: string,
  args: readonly string[],
  deadlineMs = INSTALL_DEADLINE_MS,
): Promise<CommandResult> {
  const env = { DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_SUSPEND: '1' }
  const giveUpMs = clock.monotonicMs() + LOCK_WAIT_MS
  for (let attempt = 0; ; attempt += 1) {
    const result = await runCommand(command, args, { signal, deadlineMs, env })
    if (result.exitCode === 0 || !isLocked(result)) return result
    if (clock.monotonicMs() >= giveUpMs) throw locked(result)
    if (attempt === 0) report.note('another apt is at work, waiting for its lock ...')
    const capMs = Math.min(LOCK_BACKOFF_CAP_MS, LOCK_BACKOFF_BASE_MS * 2 ** Math.min(attempt, 30))
    await clock.sleep(random.next() * capMs, signal)
  }
}

/** @throws SetupError setup.apt_failed with apt's own first complaint. */
function mustSucceed(result: CommandResult): void {
  if (result.exitCode === 0) return
  const complaint = result.stderr.split('\n').find((line) => line.startsWith('E: '))
  throw new SetupError('setup.apt_failed', {
    what: 'apt could not install packages',
    values: { exitCode: result.exitCode, said: complaint ?? lastLine(result.stderr) },
    fix: 'check that apt reaches its mirror (apt-get update), then run the same command again',
  })
}

function locked(result: CommandResult): SetupError {
  return new SetupError('setup.apt_locked', {
    what: 'another apt held its lock for too long',
    values: { waitedMs: LOCK_WAIT_MS, said: lastLine(result.stderr) },
    fix: 'let it end (fuser -v /var/lib/dpkg/lock-frontend), then run the same command again',
  })
}

/** Runs a read-only apt command, after fresh lists when it fails without them and we are root. */
export async function askApt(apt: Apt, command: string, args: readonly string[], cwd?: string) {
  const options = { signal: apt.signal, deadlineMs: UPDATE_DEADLINE_MS, ...(cwd ? { cwd } : {}) }
  const first = await runCommand(command, args, options)
  if (first.exitCode === 0 && first.stdout.trim() !== '') return first
  if (process.getuid?.() !== 0) return mustRun(command, args, options)
  await updateLists(apt)
  return mustRun(command, args, options)
}
