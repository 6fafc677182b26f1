import { dirname, join, normalize } from 'node:path'
import { layerOf, sideSteps } from './layers.ts'

/** One import that breaks a rule of ARCHITECTURE.md section 3, with what to do about it. */
export interface Violation {
  readonly file: string
  readonly line: number
  readonly specifier: string
  readonly why: string
}

/**
 * Checks one source file of the repository.
 *
 * @param file path relative to the repository's root, with forward slashes.
 */
export function checkImports(file: string, source: string): Violation[] {
  const violations: Violation[] = []
  for (const { specifier, line } of findImports(source)) {
    const why = judge(file, specifier)
    if (why !== undefined) violations.push({ file, line, specifier, why })
  }
  return violations
}

const importPattern =
  /(?:^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*|^\s*import\s*|\bimport\s*\(\s*)(['"])([^'"]+)\1/gm

/** Every static or dynamic import, type imports included, that names its module as a literal. */
export function findImports(source: string): { specifier: string; line: number }[] {
  const found: { specifier: string; line: number }[] = []
  for (const match of source.matchAll(importPattern)) {
    const upToSpecifier = source.slice(0, match.index + match[0].length)
    found.push({ specifier: match[2] ?? '', line: upToSpecifier.split('\n').length })
  }
  return found
}

function judge(file: string, specifier: string): string | undefined {
  const from = partOf(file)
  if (specifier.startsWith('#')) {
    const to = specifier.slice(1)
    if (to.includes('/')) return `deep import: a part has one door, write '#${to.split('/')[0]}'`
    return from === undefined ? undefined : judgeDirection(from, to)
  }
  if (specifier === 'fast-check' && from !== 'property') {
    return "write '#property': it is fast-check from the run's seed"
  }
  if (!specifier.startsWith('.')) return undefined
  const target = normalize(join(dirname(file), specifier))
  const to = partOf(target)
  if (to !== undefined && to !== from) return `deep import into ${to}: write '#${to}'`
  if (from !== undefined && to === undefined) return `src imports nothing from outside src`
  if (to !== undefined && target === `src/${to}/index.ts` && !file.endsWith('.test.ts')) {
    return 'a part does not import its own door: name the file that has it'
  }
  return undefined
}

function judgeDirection(from: string, to: string): string | undefined {
  if (from === to) return 'a part does not import its own door: name the file that has it'
  const fromLayer = layerOf(from)
  const toLayer = layerOf(to)
  if (fromLayer === undefined) return `part ${from} has no place: add it to check/layers.ts`
  if (toLayer === undefined) return `part ${to} has no place: add it to check/layers.ts`
  if (toLayer > fromLayer) return undefined
  if (sideSteps.some((step) => step.from === from && step.to === to)) return undefined
  return toLayer < fromLayer
    ? `upward import: ${to} stands above ${from}`
    : `sideways import: ${from} and ${to} stand in the same row`
}

/** `src/<part>/...` gives the part; anything else, like test/ and bench/, belongs to none. */
function partOf(file: string): string | undefined {
  const [root, part, rest] = file.split('/')
  return root === 'src' && part !== undefined && rest !== undefined ? part : undefined
}
