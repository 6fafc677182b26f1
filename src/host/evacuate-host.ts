import type { Clock } from '#base'
import type { HostOperations, HostReport } from '#flyd'
import { HostError } from './errors.ts'

export interface EvacuateOptions {
  readonly clock: Clock
  /** Ends the waiting; the host goes on to drain. */
  readonly signal: AbortSignal
  /** Told of each report in which something has changed. */
  readonly seen: (report: HostReport) => void
}

const LOOK_MS = 1_000
/** A host tries what stays again every half minute: after two tries nothing will move by itself. */
const STAYS_MS = 65_000

/** Machines that are still a host's: those that have moved or were destroyed are remembered for a while. */
export const machinesLeft = ({ machines }: HostReport): number =>
  Object.entries(machines)
    .filter(([state]) => state !== 'destroyed' && state !== 'migrated')
    .reduce((sum, [, count]) => sum + count, 0)

/**
 * Drains a host and waits until no machine is left on it.
 *
 * @throws HostError host.not_empty: machines stay that cannot move; the signal's reason
 */
export async function evacuateHost(
  operations: HostOperations,
  { clock, signal, seen }: EvacuateOptions,
): Promise<HostReport> {
  let report = await operations.setMode('draining', signal)
  let told = ''
  const stayed = new Set<string>()
  let progress = ''
  let stillSinceMs = clock.monotonicMs()
  for (;;) {
    const left = machinesLeft(report)
    const news = JSON.stringify([left, report.evacuation])
    if (news !== told) {
      seen(report)
      told = news
    }
    if (left === 0) return report
    const { moving, stay } = report.evacuation
    for (const { machine } of stay) stayed.add(machine)
    // One that stays is tried again and again, which is news and no progress.
    const now = `${left} ${stayed.size}`
    if (now !== progress) stillSinceMs = clock.monotonicMs()
    progress = now
    const isStuck = moving.length === 0 && stay.length > 0
    if (isStuck && clock.monotonicMs() - stillSinceMs >= STAYS_MS) throw notEmpty(report)
    await clock.sleep(LOOK_MS, signal)
    report = await operations.report(signal)
  }
}

const notEmpty = ({ host, evacuation: { stay } }: HostReport) =>
  new HostError('host.not_empty', {
    what: 'machines stay on this host that cannot move by themselves',
    values: {
      host,
      machines: stay.map(({ machine, app, why }) => `${machine} of ${app}: ${why}`).join('; '),
    },
    fix: 'make room elsewhere, or destroy them (`godwit machine destroy ID --force -a APP`); the host goes on to try, and `godwit host uncordon` ends that',
  })
