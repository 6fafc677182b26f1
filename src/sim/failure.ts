import { type Fault, GodwitError } from '#base'

/** What a failing run says besides its fault. */
export interface FailureReport {
  readonly seed: number
  /** The command that brings the failure back. */
  readonly replay: string
  readonly atMs: number
  readonly eventCount: number
  /** Printed by timeline-print.ts. */
  readonly timeline: string
}

export type SimFailureCode = keyof typeof SimFailure.catalogue

/**
 * A promise was broken in a simulated run. The message says what was expected, at which instant,
 * the seed, how to replay it, and shows what happened last.
 */
export class SimFailure extends GodwitError<SimFailureCode> {
  static override readonly catalogue = {
    'sim.invariant_broken': { status: 500 },
    'sim.final_check_failed': { status: 500 },
    'sim.never_happened': { status: 500 },
    'sim.node_threw': { status: 500 },
    'sim.time_stuck': { status: 500 },
    'sim.real_world_used': { status: 500 },
  } as const

  readonly #report: FailureReport | undefined

  constructor(code: SimFailureCode, fault: Fault, report?: FailureReport) {
    super(code, fault)
    this.#report = report
    if (report !== undefined) this.message = compose(this.message, fault.cause, report)
  }

  /** Undefined when the failure came from outside a world's own checks. */
  get report(): FailureReport | undefined {
    return this.#report
  }
}

function compose(headline: string, cause: unknown, report: FailureReport): string {
  const because = cause instanceof Error ? `\n  because: ${indent(cause.message)}` : ''
  return [
    `${headline}${because}`,
    `  at:      ${report.atMs.toFixed(3)} ms of virtual time, event ${report.eventCount}`,
    `  seed:    ${report.seed}`,
    `  replay:  ${report.replay}`,
    report.timeline,
  ].join('\n')
}

const indent = (text: string) => text.trimEnd().replaceAll('\n', '\n           ')
