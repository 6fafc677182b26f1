import { SimError } from './errors.ts'
import { World, type WorldOptions } from './world.ts'

/** What a run can be told with `--set name=value`: the defaults give names and types. */
export type ScenarioOptions = Readonly<Record<string, number | string | boolean>>

/**
 * A world with its story. Lives in `src/<part>/<name>.sim.ts` as the export `scenario`, where
 * the command line finds it.
 */
export interface Scenario<Options extends ScenarioOptions = ScenarioOptions> {
  /** As the file is called, without `.sim.ts`. */
  readonly name: string
  /** One line: which promise is tested, under which faults. */
  readonly describe: string
  readonly defaults: Options
  /** The world's options but for the seed. */
  world?(options: Options): Omit<WorldOptions, 'seed' | 'replay'>
  /** Tells the story. Broken promises throw by themselves; `finish` is called afterwards. */
  run(world: World, options: Options): void | Promise<void>
}

/** Gives `run` the option types that the defaults imply. */
export function defineScenario<Options extends ScenarioOptions>(
  scenario: Omit<Scenario<Widened<Options>>, 'defaults'> & { readonly defaults: Options },
): Scenario<Widened<Options>> {
  const widened = scenario.defaults as unknown as Widened<Options>
  return { ...scenario, defaults: widened }
}

/** `{ nodes: 5 }` means any number of nodes. */
type Widened<Options> = {
  readonly [Name in keyof Options]: Options[Name] extends number
    ? number
    : Options[Name] extends boolean
      ? boolean
      : Options[Name] extends string
        ? string
        : never
}

/** What a run of one seed comes to. */
export interface Run {
  readonly seed: number
  readonly historyHash: string
  readonly eventCount: number
  readonly virtualMs: number
  /** The world as the run left it. */
  readonly world: World
}

/** Runs one seed to the end. @throws SimFailure when a promise was broken. */
export async function runSeed<Options extends ScenarioOptions>(
  scenario: Scenario<Options>,
  seed: number,
  changes: Partial<Options> = {},
): Promise<Run> {
  const options: Options = { ...scenario.defaults, ...changes }
  const replay = replayCommand(scenario, seed, changes)
  const world = new World({ ...scenario.world?.(options), seed, replay })
  await scenario.run(world, options)
  world.finish()
  const { historyHash, eventCount, nowMs } = world
  return { seed, historyHash, eventCount, virtualMs: nowMs, world }
}

function replayCommand(scenario: { name: string }, seed: number, changes: object): string {
  const set = Object.entries(changes).map(([name, value]) => ` --set ${quote(`${name}=${value}`)}`)
  return `npm run sim -- ${scenario.name} --seed ${seed}${set.join('')}`
}

const quote = (word: string) => (/^[\w.:=/-]+$/.test(word) ? word : `'${word}'`)

/**
 * Reads `name=value` pairs against the defaults of a scenario.
 *
 * @throws SimError sim.usage: no such option, or not of the default's type.
 */
export function parseChanges(
  scenario: Scenario,
  pairs: readonly string[],
): Partial<ScenarioOptions> {
  const changes: Record<string, number | string | boolean> = {}
  for (const pair of pairs) {
    const [name = '', ...rest] = pair.split('=')
    const standard = Object.hasOwn(scenario.defaults, name) ? scenario.defaults[name] : undefined
    const value = standard === undefined ? undefined : parseAs(standard, rest.join('='))
    if (value === undefined) {
      throw new SimError('sim.usage', {
        what: 'no such option of this scenario, or not a value for it',
        values: { set: pair },
        fix: `its options and defaults: ${JSON.stringify(scenario.defaults)}`,
      })
    }
    changes[name] = value
  }
  return changes
}

function parseAs(standard: number | string | boolean, text: string) {
  if (typeof standard === 'string') return text
  if (typeof standard === 'boolean') {
    return text === 'true' ? true : text === 'false' ? false : undefined
  }
  const value = Number(text)
  return text.trim() === '' || Number.isNaN(value) ? undefined : value
}
