import { type Clock, type Random, systemClock, systemRandom } from '#base'
import type { Tell } from './deploy-event.ts'
import type { Machines } from './platform.ts'

/** What every step of a deploy stands on. */
export interface DeployContext {
  readonly machines: Machines
  readonly clock: Clock
  readonly random: Random
  /** Aborted: begin nothing new, clean up what cannot stay, end. */
  readonly signal: AbortSignal
  readonly tell: Tell
  readonly waits: DeployWaits
}

export interface DeployWaits {
  /** For a machine to start, and again for its checks to pass. @default 5 min */
  readonly machineMs: number
  /** That a machine is watched for a crash right after its start; 0: not at all. @default 10 s */
  readonly smokeMs: number
  /** That a blue or green machine is given to take or lose traffic. @default 10 s */
  readonly switchMs: number
}

export const defaultWaits: DeployWaits = { machineMs: 300_000, smokeMs: 10_000, switchMs: 10_000 }

/** What a caller may leave to this. */
export interface ContextOptions {
  readonly tell: Tell
  readonly waits?: Partial<DeployWaits>
  readonly signal?: AbortSignal
  readonly clock?: Clock
  readonly random?: Random
}

export function contextFor(
  machines: Machines,
  { tell, clock = systemClock, random = systemRandom, waits, signal }: ContextOptions,
): DeployContext {
  return {
    ...{ machines, clock, random, tell },
    signal: signal ?? new AbortController().signal,
    waits: { ...defaultWaits, ...waits },
  }
}
