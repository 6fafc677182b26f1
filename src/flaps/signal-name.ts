import { constants } from 'node:os'
import { refuse } from './errors.ts'

// biome-ignore format: two lists
const stopSignals: readonly string[] = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGKILL', 'SIGUSR1', 'SIGUSR2', 'SIGTERM']
// biome-ignore format: two lists
const allSignals: readonly string[] = [...stopSignals, 'SIGABRT', 'SIGALRM', 'SIGFPE', 'SIGILL', 'SIGPIPE', 'SIGSEGV', 'SIGTRAP']

/**
 * A signal's name from its name, with or without SIG, or its number. Nothing is undefined.
 *
 * @param use `stop`: only those that are sent to end a machine.
 * @throws FlapsError flaps.argument_bad
 */
export function signalName(
  value: string | number | undefined,
  use: 'stop' | 'any',
): string | undefined {
  if (value === undefined || value === '') return undefined
  const name = typeof value === 'number' || /^\d+$/.test(value) ? nameOf(Number(value)) : value
  const upper = name?.toUpperCase()
  const full = upper?.startsWith('SIG') ? upper : `SIG${upper}`
  if ((use === 'stop' ? stopSignals : allSignals).includes(full)) return full
  throw refuse('flaps.argument_bad', `invalid_argument: invalid signal '${value}'`)
}

const nameOf = (number: number) =>
  allSignals.find((name) => (constants.signals as Record<string, number>)[name] === number)
