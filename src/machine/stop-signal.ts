import { constants } from 'node:os'
import { configBad } from './errors.ts'

/**
 * The number of a signal as people and images write it: `SIGTERM`, `TERM`, `15`.
 *
 * @throws MachineError machine.config_bad
 */
export function stopSignalOf(text: string): number {
  const name = text.toUpperCase()
  const signals: Readonly<Record<string, number>> = constants.signals
  const number = /^\d{1,2}$/.test(name)
    ? Number(name)
    : (signals[name] ?? signals[`SIG${name}`] ?? realTime(name))
  if (number !== undefined && number >= 1 && number <= 64) return number
  throw configBad('not a signal', { signal: text }, 'write one like SIGTERM or 15')
}

/** Images of systemd say SIGRTMIN+3. Source: signal(7): 34 is the first that the C library leaves. */
function realTime(name: string): number | undefined {
  const match = /^(?:SIG)?RTMIN(?:\+(\d{1,2}))?$/.exec(name)
  return match === null ? undefined : 34 + Number(match[1] ?? 0)
}
