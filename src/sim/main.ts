/**
 * `npm run sim`: runs the scenarios of all parts by seed. Exit codes: 0 every promise held, 1 one
 * was broken, 64 the command line was wrong (sysexits.h, EX_USAGE).
 */
import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { errorCode, GodwitError } from '#base'
import { findScenario, listScenarios, loadScenario } from './discover.ts'
import { SimError } from './errors.ts'
import { SimFailure } from './failure.ts'
import { runSeeds, type SeedsReport } from './run-seeds.ts'
import { parseChanges, runSeed, type Scenario } from './scenario.ts'

const ROOT = join(import.meta.dirname, '../..')
const EXIT_FAILED = 1
const EXIT_USAGE = 64

const usage = `Runs simulated worlds.

  npm run sim -- --list                         the scenarios
  npm run sim -- NAME [--seed N]                one seed (a fresh one when not given)
  npm run sim -- NAME --seeds COUNT [--from N]  many seeds, until one fails

  --set name=value   changes an option of the scenario (repeatable)
  --timeline         prints the last moments of a passing run as well
  --json             one JSON object on the last line`

interface Arguments {
  readonly name: string | undefined
  readonly list: boolean
  readonly help: boolean
  readonly json: boolean
  readonly timeline: boolean
  readonly seed: number | undefined
  readonly seeds: number | undefined
  readonly from: number
  readonly set: readonly string[]
}

function parse(args: readonly string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      json: { type: 'boolean', default: false },
      timeline: { type: 'boolean', default: false },
      seed: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string', default: '0' },
      set: { type: 'string', multiple: true, default: [] },
    },
  })
  return {
    ...values,
    name: positionals[0],
    seed: values.seed === undefined ? undefined : wholeNumber('--seed', values.seed),
    seeds: values.seeds === undefined ? undefined : wholeNumber('--seeds', values.seeds),
    from: wholeNumber('--from', values.from),
  }
}

function wholeNumber(flag: string, text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value
  throw new SimError('sim.usage', {
    what: `${flag} takes a whole number`,
    values: { given: text },
    fix: 'npm run sim -- --help',
  })
}

async function main(args: Arguments): Promise<number> {
  if (args.list) return list(args.json)
  if (args.help || args.name === undefined) {
    console.log(usage)
    return args.help ? 0 : EXIT_USAGE
  }
  const scenario = await loadScenario(ROOT, findScenario(listScenarios(ROOT), args.name))
  return args.seeds === undefined ? runOne(scenario, args) : runMany(scenario, args, args.seeds)
}

async function list(json: boolean): Promise<number> {
  const files = listScenarios(ROOT)
  const scenarios = await Promise.all(files.map((file) => loadScenario(ROOT, file)))
  if (json) {
    const rows = scenarios.map(({ name, describe, defaults }, at) => {
      return { name, describe, defaults, file: files[at]?.file }
    })
    console.log(JSON.stringify({ scenarios: rows }))
    return 0
  }
  const width = Math.max(0, ...scenarios.map(({ name }) => name.length))
  for (const { name, describe } of scenarios) console.log(`${name.padEnd(width)}  ${describe}`)
  return 0
}

async function runOne(scenario: Scenario, args: Arguments): Promise<number> {
  const seed = args.seed ?? randomInt(2 ** 31)
  const changes = parseChanges(scenario, args.set)
  try {
    const { historyHash, eventCount, virtualMs, world } = await runSeed(scenario, seed, changes)
    if (args.timeline) console.log(world.timeline())
    const facts = {
      scenario: scenario.name,
      seed,
      passed: true,
      historyHash,
      eventCount,
      virtualMs,
    }
    if (args.json) console.log(JSON.stringify(facts))
    else {
      const virtualS = (virtualMs / 1000).toFixed(1)
      console.log(
        `passed: ${scenario.name}, seed ${seed}, ${eventCount} events in ${virtualS} s of virtual time, history ${historyHash}`,
      )
    }
    return 0
  } catch (error) {
    if (!(error instanceof SimFailure)) throw error
    showFailure(error)
    if (args.json) {
      console.log(JSON.stringify({ scenario: scenario.name, seed, passed: false, ...brief(error) }))
    }
    return EXIT_FAILED
  }
}

async function runMany(scenario: Scenario, args: Arguments, count: number): Promise<number> {
  const changes = parseChanges(scenario, args.set)
  const report = await runSeeds(scenario, { from: args.from, count }, changes)
  if (report.failure !== null) showFailure(report.failure)
  if (args.json) {
    const { failure, ...facts } = report
    const detail = failure === null ? {} : brief(failure)
    console.log(JSON.stringify({ ...facts, passed: failure === null, ...detail }))
  } else console.log(summary(report))
  return report.failure === null ? 0 : EXIT_FAILED
}

function summary(report: SeedsReport): string {
  const { scenario, seedCount, failedSeed, seedsPerS, eventsPerS, virtualMs } = report
  const verdict = failedSeed === null ? 'passed' : `FAILED at seed ${failedSeed}`
  const hours = (virtualMs / 3_600_000).toFixed(2)
  return `${verdict}: ${scenario}, ${seedCount} seeds, ${hours} h of virtual time, ${seedsPerS} seeds/s, ${eventsPerS} events/s`
}

const showFailure = (failure: SimFailure) => console.error(`${failure.code}: ${failure.message}`)

const brief = (failure: SimFailure) => ({
  code: failure.code,
  what: failure.what,
  replay: failure.report?.replay,
})

try {
  process.exitCode = await main(parse(process.argv.slice(2)))
} catch (error) {
  const isUsage = error instanceof GodwitError || errorCode(error)?.startsWith('ERR_PARSE_ARGS')
  if (!isUsage) throw error
  console.error(`sim: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = EXIT_USAGE
}
