import type { StopOptions } from '../host.ts'
import type { MachineConfigJson } from '../machine-json.ts'

export interface StopPlan {
  /** As `SIGTERM`. */
  readonly signal: string
  readonly timeoutMs: number
}

const SIGNAL = 'SIGINT'
const TIMEOUT_MS = 5_000
const TIMEOUT_MAX_MS = 300_000
/** `stop_config.timeout: 10` is ten nanoseconds: nobody means that. */
const TIMEOUT_MIN_MS = 100

/** The call's own, else the configuration's, else SIGINT and five seconds; at most five minutes. */
export function stopPlanOf(config: MachineConfigJson, options: StopOptions): StopPlan {
  const { signal, timeout } = (config['stop_config'] ?? {}) as Record<string, unknown>
  const configured = typeof signal === 'string' && signal !== '' ? named(signal) : SIGNAL
  const wanted = options.timeoutMs ?? durationMs(timeout) ?? TIMEOUT_MS
  return {
    signal: options.signal ?? configured,
    timeoutMs: Math.min(TIMEOUT_MAX_MS, Math.max(TIMEOUT_MIN_MS, wanted)),
  }
}

const named = (signal: string): string => {
  const name = signal.toUpperCase()
  return name.startsWith('SIG') ? name : `SIG${name}`
}

const UNIT_MS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 } as const

/** As Go writes durations, or a number of nanoseconds. Undefined: neither. */
function durationMs(value: unknown): number | undefined {
  if (typeof value === 'number') return value / 1e6
  if (typeof value !== 'string' || !/^(\d+(\.\d+)?(h|ms|m|s|us|µs|ns))+$/.test(value))
    return undefined
  let sum = 0
  for (const [, figure, unit] of value.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/g)) {
    sum += Number(figure) * UNIT_MS[unit as keyof typeof UNIT_MS]
  }
  return sum
}
