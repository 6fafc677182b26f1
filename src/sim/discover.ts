import { globSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { SimError } from './errors.ts'
import type { Scenario } from './scenario.ts'

const SUFFIX = '.sim.ts'

/** Where a scenario is; its file is imported only when it is asked for. */
export interface ScenarioFile {
  readonly name: string
  /** Relative to the repository's root: `src/corrosion/swim.sim.ts`. */
  readonly file: string
}

/** Every `*.sim.ts` of every part, by name. The glob spares this part an import of the others. */
export function listScenarios(root: string): ScenarioFile[] {
  return globSync(`src/**/*${SUFFIX}`, { cwd: root })
    .map((file) => ({ name: basename(file, SUFFIX), file }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.file < b.file ? -1 : 1))
}

/** @throws SimError sim.scenario_unknown, with the names that come nearest. */
export function findScenario(scenarios: readonly ScenarioFile[], name: string): ScenarioFile {
  const found = scenarios.find((scenario) => scenario.name === name)
  if (found !== undefined) return found
  const nearest = nearestNames(
    scenarios.map((scenario) => scenario.name),
    name,
  )
  throw new SimError('sim.scenario_unknown', {
    what: 'no such scenario',
    values: { name },
    fix: nearest.length > 0 ? `did you mean ${nearest.join(' or ')}?` : 'npm run sim -- --list',
  })
}

/** @throws SimError sim.scenario_bad: the file does not export what it should. */
export async function loadScenario(root: string, { name, file }: ScenarioFile): Promise<Scenario> {
  const module: unknown = await import(pathToFileURL(join(root, file)).href)
  const scenario = (module as { scenario?: Scenario }).scenario
  if (scenario?.name === name && typeof scenario.run === 'function') return scenario
  throw new SimError('sim.scenario_bad', {
    what: 'the file exports no `scenario` of its own name',
    values: { file, found: scenario?.name },
    fix: `export const scenario = defineScenario({ name: '${name}', ... })`,
  })
}

const NEAREST_MAX = 3

/** Names that are a few edits away, or contain what was typed; the nearest first. */
export function nearestNames(names: readonly string[], typed: string): string[] {
  return names
    .map((name) => ({ name, edits: editDistance(name, typed) }))
    .filter(({ name, edits }) => name.includes(typed) || edits <= Math.max(2, name.length / 3))
    .sort((a, b) => a.edits - b.edits)
    .slice(0, NEAREST_MAX)
    .map(({ name }) => name)
}

/** Insertions, deletions and substitutions between two words (Levenshtein 1966). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
