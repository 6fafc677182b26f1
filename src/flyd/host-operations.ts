import type { HostMode } from '#market'

/** Machines that a host has promised room to, and what it has. */
export interface HostLoad {
  readonly cpuMicros: number
  readonly memoryMb: number
  readonly machines: number
}

/** What an operator sees of a host. */
export interface HostReport {
  readonly host: string
  readonly region: string
  readonly version: string
  readonly mode: HostMode
  /** How many are in which state. */
  readonly machines: Readonly<Record<string, number>>
  readonly guests: number
  readonly runs: number
  readonly capacity: {
    readonly limits: HostLoad
    readonly used: HostLoad
    readonly reservations: number
  }
  readonly rows: { readonly count: number; readonly waiting: number; readonly inStep: boolean }
  readonly evacuation: {
    readonly moving: readonly string[]
    /** Machines that could not move when it was last tried, and why. */
    readonly stay: readonly {
      readonly machine: string
      readonly app: string
      readonly why: string
    }[]
  }
}

/** What operators ask of a host, on it or from another one. Its daemon answers, not its machines. */
export interface HostOperations {
  report(signal: AbortSignal): Promise<HostReport>
  /** Lasts over restarts. @returns as the host is then */
  setMode(mode: HostMode, signal: AbortSignal): Promise<HostReport>
}
