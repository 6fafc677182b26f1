import type { AppEntry, MachineEntry } from '../routing-table/app-tree.ts'
import { AUTOSTOP_TIMES, type AutostopTimes } from './autostop-times.ts'

/** What to stop, and why; or why nothing is stopped. For `/debug`. */
export type AutostopVerdict =
  | { readonly victim: MachineEntry; readonly how: 'stop' | 'suspend'; readonly why: string }
  | { readonly victim: undefined; readonly how: undefined; readonly why: string }

const keep = (why: string): AutostopVerdict => ({ victim: undefined, how: undefined, why })

/**
 * Which machine of an app in a region has become needless, if any: at most one. Documented rule: with n machines
 * running, `excess = n - (machines over soft + 1)`, and one is stopped when it is at least 1; a last one only at
 * load 0; `min_machines_running` of the primary region stay.
 *
 * Every worker applies the rule to what it knows and stops the victim only when it is its own, so that no two
 * hosts have to agree. That nobody ever stops below the minimum, however late the news, follows from an order:
 * the `min` running machines with the lowest ids are never victims, in nobody's view.
 *
 * @param nowMs monotonic
 */
export function chooseVictim(
  app: AppEntry,
  region: string,
  nowMs: number,
  times: AutostopTimes = AUTOSTOP_TIMES,
): AutostopVerdict {
  const inRegion = [...app.machines].filter(
    (machine) => machine.region === region && machine.services.size > 0 && !machine.isStandby,
  )
  if (inRegion.some((machine) => isChanging(machine, nowMs - times.settleMs)))
    return keep('machines are changing')
  const running = inRegion
    .filter(({ state, isCordoned }) => state === 'started' && !isCordoned)
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  if (running.length === 0) return keep('none runs')
  const min = minimumIn(region, inRegion)
  const overSoft = running.filter(isOverSoft).length
  const excess = running.length - (overSoft + 1)
  if (running.length > 1 && excess < 1) return keep(`${overSoft} of ${running.length} over soft`)
  const stoppable = running.slice(min).filter((machine) => mayStop(machine, nowMs - times.upMs))
  const isLast = running.length === 1
  const candidates = isLast ? stoppable.filter((machine) => loadOf(machine) === 0) : stoppable
  const victim = leastLoaded(candidates)
  if (victim === undefined) return keep(isLast ? 'the last one is needed' : 'none may be stopped')
  const why = isLast ? 'the last one has no load' : `excess ${excess} of ${running.length} running`
  return { victim, how: autostopOf(victim) === 'suspend' ? 'suspend' : 'stop', why }
}

/** Several services: the most restrictive setting wins, off before stop before suspend. */
export function autostopOf(machine: MachineEntry): 'off' | 'stop' | 'suspend' {
  let isStop = false
  for (const { autostop } of machine.services) {
    if (autostop === 'off') return 'off'
    if (autostop === 'stop') isStop = true
  }
  if (machine.services.size === 0) return 'off'
  return isStop ? 'stop' : 'suspend'
}

/** In the primary region only; in every region while nobody has said which is primary. */
function minimumIn(region: string, machines: readonly MachineEntry[]): number {
  let min = 0
  for (const machine of machines) {
    if (machine.primaryRegion !== '' && machine.primaryRegion !== region) continue
    for (const { minMachinesRunning } of machine.services) min = Math.max(min, minMachinesRunning)
  }
  return min
}

/** @param settledAtMs what stopped since then may not be known everywhere */
function isChanging(machine: MachineEntry, settledAtMs: number): boolean {
  if (machine.isWaking || machine.isDraining || machine.isAssumedReady) return true
  if (machine.stoppedAtMs > settledAtMs) return true
  const isSettled = ['started', 'stopped', 'suspended', 'failed', 'destroyed', 'created']
  return machine.isKnown && !isSettled.includes(machine.state)
}

const mayStop = (machine: MachineEntry, startedByMs: number) =>
  autostopOf(machine) !== 'off' && machine.startedAtMs <= startedByMs

function isOverSoft(machine: MachineEntry): boolean {
  for (const service of machine.services) if (service.load >= service.softLimit) return true
  return false
}

export function loadOf(machine: MachineEntry): number {
  let load = 0
  for (const service of machine.services) load += service.load
  return load
}

/** The last of equals: the ones before it are those that stay. */
function leastLoaded(machines: readonly MachineEntry[]): MachineEntry | undefined {
  let best: MachineEntry | undefined
  for (const machine of machines) {
    if (best === undefined || loadOf(machine) <= loadOf(best)) best = machine
  }
  return best
}
