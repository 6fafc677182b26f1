import { HostError } from './errors.ts'
import type { Part } from './part.ts'

/**
 * The parts in an order in which each stands behind those that it waits for. Pure.
 *
 * @throws HostError host.order_bad: a name that is there twice or not at all, or a circle
 */
export function inStartOrder(parts: readonly Part[]): Part[] {
  const byName = new Map(parts.map((part) => [part.name, part]))
  if (byName.size < parts.length) throw bad('two parts have one name', parts)
  const ordered = new Set<Part>()
  const visit = (part: Part, path: readonly string[]): void => {
    if (ordered.has(part)) return
    if (path.includes(part.name)) {
      throw bad(`parts wait for each other: ${[...path, part.name].join(' -> ')}`, parts)
    }
    for (const name of part.after ?? []) {
      const before = byName.get(name)
      if (before === undefined)
        throw bad(`${part.name} waits for ${name}, which is not there`, parts)
      visit(before, [...path, part.name])
    }
    ordered.add(part)
  }
  for (const part of parts) visit(part, [])
  return [...ordered]
}

const bad = (what: string, parts: readonly Part[]) =>
  new HostError('host.order_bad', {
    what,
    values: { parts: parts.map(({ name }) => name).join(' ') },
  })
