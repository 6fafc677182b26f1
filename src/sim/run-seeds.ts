import { SimFailure } from './failure.ts'
import { runSeed, type Scenario, type ScenarioOptions } from './scenario.ts'

export interface SeedRange {
  readonly from: number
  readonly count: number
}

/** What many seeds come to. */
export interface SeedsReport {
  readonly scenario: string
  readonly seedCount: number
  readonly eventCount: number
  readonly virtualMs: number
  readonly seconds: number
  readonly seedsPerS: number
  readonly eventsPerS: number
  /** The first seed that failed; the seeds after it were not run. */
  readonly failedSeed: number | null
  readonly failure: SimFailure | null
}

/** Runs seeds one after the other until one fails. Errors other than SimFailure pass through. */
export async function runSeeds<Options extends ScenarioOptions>(
  scenario: Scenario<Options>,
  range: SeedRange,
  changes: Partial<Options> = {},
): Promise<SeedsReport> {
  const startedMs = performance.now()
  let seedCount = 0
  let eventCount = 0
  let virtualMs = 0
  let failure: SimFailure | null = null
  let failedSeed: number | null = null
  for (let seed = range.from; seed < range.from + range.count; seed += 1) {
    seedCount += 1
    try {
      const run = await runSeed(scenario, seed, changes)
      eventCount += run.eventCount
      virtualMs += run.virtualMs
    } catch (error) {
      if (!(error instanceof SimFailure)) throw error
      eventCount += error.report?.eventCount ?? 0
      virtualMs += error.report?.atMs ?? 0
      failure = error
      failedSeed = seed
      break
    }
  }
  const seconds = (performance.now() - startedMs) / 1000
  const perS = (count: number) => Math.round(count / seconds)
  return {
    scenario: scenario.name,
    seedCount,
    eventCount,
    virtualMs,
    seconds,
    seedsPerS: perS(seedCount),
    eventsPerS: perS(eventCount),
    failedSeed,
    failure,
  }
}
