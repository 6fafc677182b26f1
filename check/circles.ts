import { dirname, join, normalize } from 'node:path'
import { findImports, type Violation } from './imports.ts'

interface Step {
  readonly to: string
  readonly line: number
  readonly specifier: string
}

/**
 * Files that lead back to themselves by relative imports, those of types included. Each is on the way of one
 * violation, which is the shortest of its first file. Which way two parts may look, `layers.ts` says.
 *
 * @param sources by path relative to the repository's root, with forward slashes.
 */
export function findCircles(sources: ReadonlyMap<string, string>): Violation[] {
  const steps = new Map([...sources].map(([file, source]) => [file, stepsOf(file, source)]))
  const reported = new Set<string>()
  return [...steps.keys()].sort().flatMap((file) => {
    const way = reported.has(file) ? undefined : wayBack(file, steps)
    const [first] = way ?? []
    if (way === undefined || first === undefined) return []
    for (const { to } of way) reported.add(to)
    const { line, specifier } = first
    const round = [file, ...way.map(({ to }) => to)].join(' -> ')
    return [{ file, line, specifier, why: `files in a circle: ${round}` }]
  })
}

function stepsOf(file: string, source: string): Step[] {
  return findImports(source)
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map(({ specifier, line }) => ({
      to: normalize(join(dirname(file), specifier)),
      line,
      specifier,
    }))
}

/** Breadth first, so that nothing shorter leads back. */
function wayBack(start: string, steps: ReadonlyMap<string, readonly Step[]>): Step[] | undefined {
  const cameBy = new Map<string, { from: string; step: Step }>()
  const queue = [start]
  for (const from of queue) {
    for (const step of steps.get(from) ?? []) {
      if (step.to === start) return [...wayTo(from, cameBy), step]
      if (cameBy.has(step.to)) continue
      cameBy.set(step.to, { from, step })
      queue.push(step.to)
    }
  }
  return undefined
}

function wayTo(file: string, cameBy: ReadonlyMap<string, { from: string; step: Step }>): Step[] {
  const last = cameBy.get(file)
  return last === undefined ? [] : [...wayTo(last.from, cameBy), last.step]
}
