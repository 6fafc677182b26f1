import { PLATFORM_ADDRESS } from '#net6'
import type { LogLevel } from '#observe'
import { SSH_PORT } from '../access/machine-access.ts'
import type { MachineSeen } from '../model/machine-seen.ts'

interface ExitSeen {
  readonly exit_code?: number
  readonly signal?: number
  readonly oom_killed?: boolean
  readonly requested_stop?: boolean
}

const TEXTS: Partial<Record<MachineSeen['state'], string>> = {
  starting: 'the machine is being started',
  started: 'the machine runs',
  stopping: 'the machine is being stopped',
  suspended: 'the machine is suspended',
  destroyed: 'the machine is destroyed',
  migrated: 'the machine has moved to another host',
}

/** What its log says of a machine that has come into its state; undefined: nothing that concerns its owner. Pure. */
export function machineStory(
  machine: Pick<MachineSeen, 'state' | 'events' | 'privateIp'>,
): { text: string; level: LogLevel } | undefined {
  const { state, privateIp } = machine
  if (state === 'stopped') return exitStory(exitOf(machine))
  if (state === 'failed' || state === 'launch_failed') {
    const why = failureOf(machine)
    const text = `the machine could not be started${why === undefined ? '' : `: ${why}`}`
    return { text, level: 'error' }
  }
  if (state === 'started' && privateIp !== undefined) {
    const text = `${TEXTS.started}, listening on [${privateIp}]:${SSH_PORT} (DNS: [${PLATFORM_ADDRESS}]:53)`
    return { text, level: 'info' }
  }
  const text = TEXTS[state]
  return text === undefined ? undefined : { text, level: 'info' }
}

function exitStory(exit: ExitSeen | undefined): { text: string; level: LogLevel } {
  if (exit === undefined) return { text: 'the machine is stopped', level: 'info' }
  const { exit_code: code = 0, requested_stop: isRequested = false } = exit
  if (exit.oom_killed === true) return { text: 'the machine ran out of memory', level: 'error' }
  const text = `the machine ended with exit code ${code}`
  return { text, level: isRequested || code === 0 ? 'info' : 'error' }
}

/** Of the event that brought it here. */
function failureOf({ events }: Pick<MachineSeen, 'events'>): string | undefined {
  const [{ request } = {}] = events as { request?: { error?: unknown } }[]
  return typeof request?.error === 'string' ? request.error : undefined
}

/** Of the newest end that it tells. */
function exitOf({ events }: Pick<MachineSeen, 'events'>): ExitSeen | undefined {
  for (const event of events) {
    const { type, request } = event as { type?: string; request?: { exit_event?: ExitSeen } }
    if (type === 'exit') return request?.exit_event
    if (type === 'start') return undefined
  }
  return undefined
}
