import assert from 'node:assert/strict'
import { runSeed, type Scenario, type ScenarioOptions } from './scenario.ts'

/** `test` of node:test, or anything that registers a named test. */
export type RegisterTest = (name: string, body: () => Promise<void>) => unknown

export interface ScenarioTestOptions<Options extends ScenarioOptions> {
  /** How many seeds to run, from 1 on. @default 20 */
  readonly seeds?: number
  /** Seeds that failed once; they are run first, for ever. */
  readonly regressions?: readonly number[]
  readonly changes?: Partial<Options>
}

const FRESH_SEEDS_FROM = 1

/**
 * Registers the tests of a scenario: a run per seed, and one that runs the first seed again and compares
 * histories. `SEED=N` in the environment runs that seed alone.
 *
 * ```ts
 * import test from 'node:test'
 * testScenario(test, scenario, { seeds: 50, regressions: [41_223_904] })
 * ```
 */
export function testScenario<Options extends ScenarioOptions>(
  test: RegisterTest,
  scenario: Scenario<Options>,
  options: ScenarioTestOptions<Options> = {},
): void {
  const { seeds = 20, regressions = [], changes = {} } = options
  const given = process.env['SEED']
  const fresh = Array.from({ length: seeds }, (_, at) => FRESH_SEEDS_FROM + at)
  const chosen = given === undefined ? [...regressions, ...fresh] : [Number(given)]
  /** Of the first seed, which need not run for it again. */
  let history: string | undefined
  test(`${scenario.name}: every promise holds for ${chosen.length} seeds`, async () => {
    for (const seed of chosen) {
      const { historyHash } = await runSeed(scenario, seed, changes)
      history ??= historyHash
    }
  })
  test(`${scenario.name}: the same seed gives the same history`, async () => {
    const seed = chosen[0] ?? FRESH_SEEDS_FROM
    const first = history ?? (await runSeed(scenario, seed, changes)).historyHash
    const second = await runSeed(scenario, seed, changes)
    assert.equal(second.historyHash, first, 'something outside the seed leaked in')
  })
}
